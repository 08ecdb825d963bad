//go:build !linux

package cmd_test

import (
	"errors"

	"github.com/rogpeppe/go-internal/testscript"
)

// There is neither strace nor a tmpfs.
func heldCmds() map[string]scriptCmd        { return nil }
func mountCmds() map[string]scriptCmd       { return nil }
func scriptPrograms() map[string]func()     { return nil }
func watchScript(*testscript.Env) error     { return nil }
func noteStart(string)                      {}
func watchContainers(*testscript.Env) error { return nil }
func searchOutput(scriptT)                  {}

// There is no filter of calls here.
const watchArg, struckVariable = "-watch", "TEST_STRUCK_BY_BLNKCTL"

func becomeFiltered(string, string, string, []string) error { return errors.ErrUnsupported }

func watch(string, string) error { return errors.ErrUnsupported }
