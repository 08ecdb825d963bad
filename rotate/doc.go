// Package rotate replaces the master key of a Blnk server everywhere it
// stands, restarts the server and its workers, and proves that the new key
// works and the old one does not; or it puts everything back.
//
// A rotation has five steps, in a table that a loop walks:
//
//  1. create: take the lock, read every store, check everything that can be
//     checked, make the new key, and save the journal, with both keys, before
//     the first effect.
//  2. set: put the new key into every store, and read it back.
//  3. restart: the server and the workers, who read the key only at start.
//  4. test: on every server, on fresh connections: the new key is taken, a
//     random one is not, the old one is not, the new one still is.
//  5. finish: remember when, write the audit log, forget the journal.
//
// Where a step fails, the same table is walked with the keys exchanged. Where a store
// cannot be put back, servers that run as before are not restarted: that could put in
// force what somebody else wrote. A
// rotation that replaces a compromised key is not undone: it stops where it is
// and waits for the next run.
//
// [Run] does what an [Intent] says, [Check] is its dry run. A new kind of rotation is
// another Intent, and no other code:
//
//	in := rotate.Intent{Event: rotate.Rotate, NewKey: makeKey, IfDue: true, Policy: p}
//	in := rotate.Intent{Event: rotate.Sync, Source: 0} // its key to all others
//	in := rotate.Intent{Event: rotate.Rollback}        // the key from before
//	in := rotate.Intent{Event: rotate.Rotate, Abort: true} // undo the open one
//	report, err := rotate.Run(ctx, t, in, rotate.Env{Lock: lock, Recorder: log, Now: time.Now})
//
// The journal says which row was entered, and in which direction. Whoever
// finds a journal first ends that rotation and does nothing else. Stores and
// servers can be looked at, so every step looks before it acts, and may be
// done again. Only whether the workers restarted cannot be seen: there the
// journal is believed, which names the row "test" only after the restart had
// succeeded.
//
// Which processes of this host have the old key is looked at before anything is
// written, and the journal keeps it. One that listens for a server a grace (5 s, or
// half of the time for the proof) after the restart has ended, and still takes the old
// key on new connections, was not restarted: one that was told to end takes none. So
// the step fails then, where the driver says that it restarted; where something else
// does (wait:, manual:), the whole time is waited for. An old process that lives on
// beside the one that listens has begun to end. Any other that runs on, as a worker, is
// a warning: whether it has been told to end cannot be seen.
//
// A Rollback is a rotation to the key that was in force before: to the one that the state
// folder keeps since it was replaced, for as long as the policy said, else to
// that of a store that keeps old values. It is never one that others know, one that was
// gone back from, or an older one. [EndPrevious] ends it.
//
// It does not promise that workers run the new key: they answer no request, so
// that rests on the driver that restarted them. An address behind which several
// servers take turns is sampled. Somebody who changes a store without blnkctl, in
// the instant between the last look and the write, is noticed only afterwards,
// where the store has no compare-and-swap of its own.
//
// The package opens no file and no connection, and starts no process: what it needs of
// them comes with the target and the Env. It asks whether a process still runs.
package rotate
