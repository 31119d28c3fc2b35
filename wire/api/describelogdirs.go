// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
)

// LogDir is one log directory of this broker.
type LogDir struct {
	Path          string
	Err           error // why it is offline; nil
	Total, Usable int64 // bytes of its volume; -1 unknown
	Replicas      []LogDirReplica
}

// LogDirReplica is one log in a directory.
type LogDirReplica struct {
	Partition meta.Partition
	Size      int64 // bytes of its segments
	OffsetLag int64 // how far its end is behind the high watermark
}

type logDirs interface {
	// LogDirs describes every configured log directory, offline ones too.
	LogDirs() []LogDir
}

// DescribeLogDirs tells how large the logs in this broker's directories are.
//
//	v1  as v0      v2  flexible      v3  an error of the whole answer
//	v4  size of the volume
func DescribeLogDirs(dirs logDirs) Handler {
	return Handler{Key: 35, Min: 0, Max: 4, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.DescribeLogDirsRequest)
		resp := c.Response().(*kmsg.DescribeLogDirsResponse)
		wanted := map[meta.Partition]bool{}
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				wanted[meta.Partition{Topic: t.Topic, Index: p}] = true
			}
		}
		for _, d := range dirs.LogDirs() {
			out := kmsg.NewDescribeLogDirsResponseDir()
			out.Dir, out.TotalBytes, out.UsableBytes = d.Path, d.Total, d.Usable
			if d.Err != nil {
				out.ErrorCode, _ = verdict(fmt.Errorf("%w: %w", meta.ErrStorage, d.Err))
			} else {
				out.Topics = logDirTopics(d.Replicas, func(p meta.Partition) bool { return req.Topics == nil || wanted[p] })
			}
			resp.Dirs = append(resp.Dirs, out)
		}
		c.Reply(resp)
	}}
}

func logDirTopics(replicas []LogDirReplica, wanted func(meta.Partition) bool) []kmsg.DescribeLogDirsResponseDirTopic {
	sorted := slices.Clone(replicas)
	slices.SortFunc(sorted, func(a, b LogDirReplica) int {
		return cmp.Or(cmp.Compare(a.Partition.Topic, b.Partition.Topic), cmp.Compare(a.Partition.Index, b.Partition.Index))
	})
	var out []kmsg.DescribeLogDirsResponseDirTopic
	for _, r := range sorted {
		if !wanted(r.Partition) {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Topic != r.Partition.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = r.Partition.Topic
			out = append(out, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag = r.Partition.Index, r.Size, r.OffsetLag
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, p)
	}
	return out
}
