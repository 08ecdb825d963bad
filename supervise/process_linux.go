package supervise

import "syscall"

// endWithParent has the kernel send the command SIGTERM when we die, so that a
// server does not go on with nobody to look after it: its supervisor would
// start another beside it. SIGTERM, not SIGKILL, lets it answer what it was
// asked.
func endWithParent(sys *syscall.SysProcAttr) { sys.Pdeathsig = syscall.SIGTERM }
