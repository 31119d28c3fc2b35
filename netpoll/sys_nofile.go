// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package netpoll

// Systems whose files are not small integers: FileAt serves them, File does not.

func preadFile(uintptr, []byte, int64) (int, error)  { return 0, ErrUnsupported }
func pwriteFile(uintptr, []byte, int64) (int, error) { return 0, ErrUnsupported }
func fsyncFile(uintptr) error                        { return ErrUnsupported }
