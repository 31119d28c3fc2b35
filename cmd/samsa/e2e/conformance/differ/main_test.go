// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"os"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }
