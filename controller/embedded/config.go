// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// AlterTopicConfig changes what is set on a topic. edit gets a copy of what is
// set and gives what shall be; nothing else changes the topic meanwhile. Its
// error is returned as it is. Setting a topic's config, even to what it was,
// ends the care that is taken of an adopted topic. With validateOnly edit runs
// and nothing changes.
func (e *Edge) AlterTopicConfig(topic string, edit func(config map[string]string) (map[string]string, error), validateOnly bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(); err != nil {
		return err
	}
	s := e.topics[topic]
	if s == nil || e.images.Load().Topic(topic) == nil {
		return fmt.Errorf("%w: %s", meta.ErrUnknownTopic, topic)
	}
	next := *s
	next.adopted = false
	old := maps.Clone(s.config)
	config, err := edit(old)
	if err != nil || validateOnly {
		return err
	}
	next.config = maps.Clone(config)
	if maps.Equal(next.config, s.config) && !s.adopted {
		return nil
	}
	_, err = e.decide(func(t *txn) error {
		if _, err := t.set(controller.PathTopicConfig(topic), controller.EncodeConfig(next.config), -1); err != nil {
			return err
		}
		return writeMarks(t, topic, &next)
	})
	if err != nil {
		return err
	}
	e.topics[topic] = &next
	e.replicas.Configure(topic, next.config, next.adopted)
	e.publish(map[string]bool{topic: true})
	return nil
}
