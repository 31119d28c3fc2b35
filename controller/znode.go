// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
)

// Paths of Kafka's layout in ZooKeeper.
const (
	PathClusterID       = "/cluster/id"
	PathBrokers         = "/brokers/ids"
	PathTopics          = "/brokers/topics"
	PathController      = "/controller"
	PathControllerEpoch = "/controller_epoch"
	PathDeleteTopics    = "/admin/delete_topics"
	PathTopicConfigs    = "/config/topics"
	PathBrokerConfigs   = "/config/brokers"
	PathBrokerDefaults  = PathBrokerConfigs + "/<default>" // what is set on all brokers
	PathProducerIDs     = "/latest_producer_id_block"
	PathFeature         = "/feature"
)

// PersistentPaths lists the nodes without data that every broker ensures at its
// start, parents first.
var PersistentPaths = []string{
	PathConsumers, "/brokers", PathBrokers, PathTopics, "/brokers/seqid",
	"/config", "/config/changes", PathTopicConfigs, "/config/clients", "/config/users", PathBrokerConfigs, "/config/ips",
	"/admin", PathDeleteTopics, "/isr_change_notification", PathProducerIDs, "/log_dir_event_notification", "/cluster",
}

// PathBroker is the registration of a broker.
func PathBroker(id meta.BrokerID) string { return PathBrokers + "/" + strconv.Itoa(int(id)) }

// PathTopic is the assignment of a topic.
func PathTopic(topic string) string { return PathTopics + "/" + topic }

// PathPartitions is the parent of a topic's partitions.
func PathPartitions(topic string) string { return PathTopic(topic) + "/partitions" }

// PathPartition is the parent of a partition's state.
func PathPartition(p meta.Partition) string {
	return PathPartitions(p.Topic) + "/" + strconv.Itoa(int(p.Index))
}

// PathState is the state of a partition.
func PathState(p meta.Partition) string { return PathPartition(p) + "/state" }

// PathTopicConfig is what was set on a topic.
func PathTopicConfig(topic string) string { return PathTopicConfigs + "/" + topic }

// PathBrokerConfig is what was set on a broker while it runs.
func PathBrokerConfig(id meta.BrokerID) string {
	return PathBrokerConfigs + "/" + strconv.Itoa(int(id))
}

// PathDeletion marks a topic for deletion.
func PathDeletion(topic string) string { return PathDeleteTopics + "/" + topic }

// ErrZnode is returned for the data of a node that cannot be understood.
var ErrZnode = errors.New("controller: cannot read node")

// ProducerIDBlockSize is how many producer ids a block has.
const ProducerIDBlockSize = 1000

// Assignment is the content of a topic's node.
type Assignment struct {
	ID       meta.TopicID // zero: an old tool wrote the node (KAFKA-14190)
	Replicas [][]meta.BrokerID
	Adding   map[int32][]meta.BrokerID
	Removing map[int32][]meta.BrokerID
}

// encode writes JSON as Kafka does: no escapes that only HTML needs, no newline.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("BUG: controller: encode %T: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decode(what string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrZnode, what, err)
	}
	return nil
}

type clusterIDNode struct {
	Version string `json:"version"` // a string, unlike everywhere else
	ID      string `json:"id"`
}

// EncodeClusterID makes the content of PathClusterID.
func EncodeClusterID(id string) []byte { return encode(clusterIDNode{"1", id}) }

// DecodeClusterID reads the content of PathClusterID.
func DecodeClusterID(data []byte) (string, error) {
	var n clusterIDNode
	if err := decode("cluster id", data, &n); err != nil {
		return "", err
	}
	if n.ID == "" {
		return "", fmt.Errorf("%w: cluster id: empty", ErrZnode)
	}
	return n.ID, nil
}

type topicNode struct {
	Version    int                        `json:"version"`
	TopicID    string                     `json:"topic_id,omitempty"`
	Partitions map[int32][]meta.BrokerID  `json:"partitions"`
	Adding     *map[int32][]meta.BrokerID `json:"adding_replicas,omitempty"`
	Removing   *map[int32][]meta.BrokerID `json:"removing_replicas,omitempty"`
}

// EncodeTopic makes the content of PathTopic, version 3 (KIP-516).
func EncodeTopic(a Assignment) []byte {
	n := topicNode{Version: 3, TopicID: a.ID.String(), Partitions: map[int32][]meta.BrokerID{}, Adding: &a.Adding, Removing: &a.Removing}
	if a.Adding == nil {
		a.Adding = map[int32][]meta.BrokerID{}
	}
	if a.Removing == nil {
		a.Removing = map[int32][]meta.BrokerID{}
	}
	for i, r := range a.Replicas {
		n.Partitions[int32(i)] = r
	}
	return encode(n)
}

// DecodeTopic reads the content of PathTopic, versions 1 to 3. Partitions must
// be numbered from 0 without gaps.
func DecodeTopic(data []byte) (Assignment, error) {
	var n topicNode
	if err := decode("topic", data, &n); err != nil {
		return Assignment{}, err
	}
	a := Assignment{Replicas: make([][]meta.BrokerID, len(n.Partitions))}
	if n.TopicID != "" {
		var err error
		if a.ID, err = meta.ParseTopicID(n.TopicID); err != nil {
			return Assignment{}, fmt.Errorf("%w: topic: %w", ErrZnode, err)
		}
	}
	for i, r := range n.Partitions {
		if i < 0 || int(i) >= len(a.Replicas) {
			return Assignment{}, fmt.Errorf("%w: topic: %d partitions, one of them is numbered %d", ErrZnode, len(n.Partitions), i)
		}
		a.Replicas[i] = r
	}
	if n.Adding != nil && len(*n.Adding) > 0 {
		a.Adding = *n.Adding
	}
	if n.Removing != nil && len(*n.Removing) > 0 {
		a.Removing = *n.Removing
	}
	return a, nil
}

type stateNode struct {
	ControllerEpoch int32           `json:"controller_epoch"`
	Leader          meta.BrokerID   `json:"leader"`
	Version         int             `json:"version"`
	LeaderEpoch     int32           `json:"leader_epoch"`
	ISR             []meta.BrokerID `json:"isr"`
	Recovery        int             `json:"leader_recovery_state,omitempty"`
}

// EncodeState makes the content of PathState.
func EncodeState(s State) []byte {
	n := stateNode{s.ControllerEpoch, s.Leader, 1, s.LeaderEpoch, s.ISR, 0}
	if s.Recovering {
		n.Recovery = 1
	}
	if n.ISR == nil {
		n.ISR = []meta.BrokerID{}
	}
	return encode(n)
}

// DecodeState reads the content of PathState.
func DecodeState(data []byte) (State, error) {
	n := stateNode{Leader: meta.NoBroker}
	if err := decode("partition state", data, &n); err != nil {
		return State{}, err
	}
	return State{n.ControllerEpoch, n.Leader, n.LeaderEpoch, n.ISR, n.Recovery == 1}, nil
}

type configNode struct {
	Version int               `json:"version"`
	Config  map[string]string `json:"config"`
}

// EncodeConfig makes the content of a node below /config.
func EncodeConfig(config map[string]string) []byte {
	if config == nil {
		config = map[string]string{}
	}
	return encode(configNode{1, config})
}

// DecodeConfig reads the content of a node below /config. The map is never nil.
func DecodeConfig(data []byte) (map[string]string, error) {
	n := configNode{Config: map[string]string{}}
	if err := decode("config", data, &n); err != nil {
		return nil, err
	}
	if n.Config == nil {
		n.Config = map[string]string{}
	}
	return n.Config, nil
}

type controllerNode struct {
	Version    int           `json:"version"`
	Broker     meta.BrokerID `json:"brokerid"`
	Timestamp  string        `json:"timestamp"`
	KRaftEpoch int           `json:"kraftControllerEpoch"`
}

// EncodeController makes the content of PathController, version 2.
func EncodeController(id meta.BrokerID, now time.Time) []byte {
	return encode(controllerNode{2, id, strconv.FormatInt(now.UnixMilli(), 10), -1})
}

type featureNode struct {
	Version  int            `json:"version"`
	Status   int            `json:"status"`
	Features map[string]any `json:"features"`
}

// EncodeFeature makes the content of PathFeature: no feature is finalized.
func EncodeFeature() []byte { return encode(featureNode{2, 1, map[string]any{}}) }

// EncodeEpoch makes the content of PathControllerEpoch: decimal text.
func EncodeEpoch(epoch int32) []byte { return strconv.AppendInt(nil, int64(epoch), 10) }

// DecodeEpoch reads the content of PathControllerEpoch.
func DecodeEpoch(data []byte) (int32, error) {
	n, err := strconv.ParseInt(string(data), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: controller epoch: %w", ErrZnode, err)
	}
	return int32(n), nil
}

type producerIDNode struct {
	Version int           `json:"version"`
	Broker  meta.BrokerID `json:"broker"`
	Start   string        `json:"block_start"`
	End     string        `json:"block_end"` // inclusive
}

// EncodeProducerIDs makes the content of PathProducerIDs: the block of
// ProducerIDBlockSize ids that begins at start.
func EncodeProducerIDs(id meta.BrokerID, start int64) []byte {
	return encode(producerIDNode{1, id, strconv.FormatInt(start, 10), strconv.FormatInt(start+ProducerIDBlockSize-1, 10)})
}

// DecodeProducerIDs reads the content of PathProducerIDs and gives the first id
// that no block has had yet; empty data means that there was no block.
func DecodeProducerIDs(data []byte) (next int64, err error) {
	if len(data) == 0 {
		return 0, nil
	}
	var n producerIDNode
	if err := decode("producer ids", data, &n); err != nil {
		return 0, err
	}
	end, err := strconv.ParseInt(n.End, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: producer ids: %w", ErrZnode, err)
	}
	if end < -1 || end > 1<<62 {
		return 0, fmt.Errorf("%w: producer ids end at %d", ErrZnode, end)
	}
	return end + 1, nil
}
