// Package parent ties a process to the one that started it.
package parent

import (
	"io"
	"os"
)

// exitWithParent names the variable that asks for it.
const exitWithParent = "CONTROL_PLANE_EXIT_WITH_PARENT"

// ExitWithParent ends the process, where it is asked for, when standard input, a pipe held by the parent, closes: the
// kernel closes it however the parent dies, so no role outlives a killed test run.
func ExitWithParent() {
	if os.Getenv(exitWithParent) == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
}
