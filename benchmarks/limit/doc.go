// SPDX-License-Identifier: Apache-2.0

// Package limit measures what the machine itself gives: the network of the
// loopback interface, the disk under a folder, memory and system calls. No
// broker does better than these lines, whoever wrote it; the null broker (package
// null) is the line of what a broker must do.
//
// Each line is measured by a few dozen lines of code here, with no tool to be
// installed, and takes about the time it is given.
package limit
