// SPDX-License-Identifier: Apache-2.0

package group

import "testing"

// The values on the right are what java.lang.String.hashCode gives.
func TestJavaHash(t *testing.T) {
	for s, want := range map[string]int32{
		"":                   0,
		"a":                  97,
		"test-group":         627841412,
		"polygenelubricants": -2147483648,
		"grüße":              98768023,
		"日本":                 835047,
		"\U0001F600":         1772899,
	} {
		if got := javaHash(s); got != want {
			t.Errorf("javaHash(%q) = %d, want %d", s, got, want)
		}
	}
	if got := PartitionFor("polygenelubricants", 50); got != 0 {
		t.Errorf("the group whose hash is the least int belongs to partition %d, want 0", got)
	}
	if got := utf16Len("ü\U0001F600"); got != 3 {
		t.Errorf("utf16Len = %d, want 3", got)
	}
}
