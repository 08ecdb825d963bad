package listener_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/listener"
)

func TestRightsOf(t *testing.T) {
	own, ok := listener.RightsOf(os.Getpid())
	if !ok || own.UID != os.Geteuid() || !own.In(os.Getegid()) || own.In(4242) || own.ReadsAll != (os.Geteuid() == 0) {
		t.Errorf("%+v, %v", own, ok)
	}
	if os.Geteuid() != 0 {
		t.Skip("to be another user needs root")
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4241, Gid: 4242, Groups: []uint32{4243}}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	got, ok := listener.RightsOf(cmd.Process.Pid)
	if !ok || got.UID != 4241 || !got.In(4242) || !got.In(4243) || got.ReadsAll {
		t.Errorf("%+v, %v", got, ok)
	}
}
