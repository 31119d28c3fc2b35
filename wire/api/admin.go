// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"strings"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Admin is what the administrative APIs need: topics, settings, the cluster and
// the log directories. The fields are declared by the files of the APIs.
type Admin struct {
	Broker   meta.BrokerID // this one
	Image    clusterView
	Topics   topicAdmin
	Settings settings
	LogDirs  logDirs
	Loggers  brokerLoggers
}

// clusterView is where the newest picture of the cluster is found; meta.Store
// is one.
type clusterView interface{ Load() *meta.Image }

// topicAdmin is the controller's side of the APIs that change topics. The
// methods block until the change is stored and carried out.
type topicAdmin interface {
	topicCreator
	topicDeleter
	partitionCreator
	configAlterer
}

// adminHandlers lists the administrative APIs.
func adminHandlers(a Admin) []Handler {
	return []Handler{
		CreateTopics(a.Topics, a.Settings),
		DeleteTopics(a.Topics, a.Image),
		CreatePartitions(a.Topics),
		DescribeConfigs(a),
		AlterConfigs(a.Broker, a.Topics, a.Settings),
		IncrementalAlterConfigs(a),
		DescribeCluster(a.Image),
		DescribeLogDirs(a.LogDirs),
	}
}

// verdict turns an error into the code and message of one topic or resource.
// The message loses the name of the package that found the fault: whoever reads
// it is not looking at our sources.
func verdict(err error) (code int16, message *string) {
	if err == nil {
		return 0, nil
	}
	if err == errNoTime {
		return int16(frame.RequestTimedOut), nil
	}
	code = int16(Code(err))
	if code == int16(frame.UnknownServerError) {
		return code, nil // as in Kafka, which does not tell what it did not expect
	}
	text := err.Error()
	if name, rest, ok := strings.Cut(text, ": "); ok && !strings.Contains(name, " ") {
		text = rest
	}
	return code, &text
}

// tooLong tells of a message that no answer can carry.
func tooLong(message *string) bool { return message != nil && len(*message) > frame.MaxString }

// unspeakable makes fail of every result when one has a message that is too long:
// Kafka finds that out while it writes the answer, and answers instead that
// nothing of it went well.
func unspeakable[T any](results []T, message func(*T) *string, fail func(*T)) {
	for i := range results {
		if tooLong(message(&results[i])) {
			for j := range results {
				fail(&results[j])
			}
			return
		}
	}
}

// onTime is Kafka's answer to a change that went well but was asked for with no
// time to wait for it: it is carried out, and reported as timed out.
func onTime(err error, timeoutMs int32) error {
	if err == nil && timeoutMs <= 0 {
		return errNoTime
	}
	return err
}

var errNoTime = Fail(frame.RequestTimedOut, "The request timed out.")

// deletionDisabled was no code of its own before version 3 of DeleteTopics.
func deletionDisabled(err error, version int16) error {
	if version < 3 && errors.Is(err, meta.ErrDeletionDisabled) {
		return Fail(frame.InvalidRequest, err.Error())
	}
	return err
}
