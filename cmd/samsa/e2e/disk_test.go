// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// smallDisk mounts a tmpfs of that many bytes. Only root can: elsewhere the
// test is skipped by name, and .ci/run, which is root, refuses skips.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount -t tmpfs: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir
}

// fillUp produces to filler until the broker refuses with KAFKA_STORAGE_ERROR
// or lets the producer wait.
func fillUp(t *testing.T, b *Broker) {
	t.Helper()
	value := strings.Repeat("f", 500_000)
	for range 400 {
		if err := tryProduce(t, b, "filler", value); err != nil {
			t.Logf("full: %v", err)
			return
		}
	}
	t.Fatal("200 MB fitted on the small disk")
}

// tryProduce sends one record without retries; an unexpected error fails the test.
func tryProduce(t *testing.T, b *Broker, topic, value string) error {
	t.Helper()
	c := Client(t, b.Addr, kgo.RecordRetries(0), kgo.RecordDeliveryTimeout(3*time.Second), kgo.DisableIdempotentWrite(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RetryTimeout(3*time.Second))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
	if err == nil || errors.Is(err, kerr.KafkaStorageError) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, kgo.ErrRecordRetries) || strings.Contains(err.Error(), "KAFKA_STORAGE_ERROR") {
		return err
	}
	t.Fatalf("produce on a full disk: %v", err)
	return nil
}

func deleteTopic(t *testing.T, b *Broker, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	deleted, err := kadm.NewClient(Client(t, b.Addr)).DeleteTopics(ctx, topic)
	if err != nil || deleted[topic].Err != nil {
		t.Fatalf("delete %s: %v %v", topic, err, deleted[topic].Err)
	}
}
