// Package state is blnkctl's private folder: for each target the lock, the
// journal of an open rotation and the facts about the last ones. It keeps
// bytes and knows nothing of what a rotation is.
//
// What it writes is durable and whole: after a crash a file is the old one or
// the new one. What it reads is checked: a file that was cut short, edited or
// written by another version of blnkctl is an error and never a guess, because
// a journal is the only place where a key may still exist.
//
// It does not promise to keep out whoever can write to the folders above the
// state folder, nor root. Keys in a journal stand in clear text; the folder's
// mode (0700) protects them. Nothing is shredded: a removed journal may stay
// on the disk until its blocks are used again.
package state
