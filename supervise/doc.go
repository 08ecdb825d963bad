// Package supervise runs a command with the key in its environment, and, where
// it watches, runs it anew when the key has changed: `blnkctl exec`.
//
// The command is Blnk, or a shell that starts it. It gets a process group of
// its own and, where blnkctl had the terminal, the terminal: a ^C reaches it
// once, from the terminal, and everything that is sent to blnkctl is passed on
// once. When the command ends, the story ends with its exit status; only a key
// that really changed starts it again. A store that cannot be read, or holds a
// key that nobody could send, is told once and changes nothing.
//
// It does not promise that the server took the key: that is for a rotation to
// prove. It does not hide the key from those who may look into the command's
// environment (root and its own user), nor from what the command starts. A
// command that changes its process group, as a daemon does, is lost sight of.
// When blnkctl itself is killed, Linux sends the command SIGTERM, but not what
// a shell in between has started; on macOS nothing does.
package supervise
