package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Perm is who may do what with a file.
type Perm struct {
	UID, GID int
	Mode     fs.FileMode // with its special bits
	// ACL: an access control list says more than the mode does, and a chmod changes
	// what it grants. (Looked at on Linux only.)
	ACL bool
}

// Perm looks at the file behind all links.
func (f *File) Perm() (Perm, error) {
	p, now, err := f.open()
	if err != nil {
		return Perm{}, err
	}
	defer p.Close()
	defer now.close()
	return permissions(now), nil
}

func permissions(s *snapshot) Perm {
	st := statOf(s.info)
	return Perm{int(st.Uid), int(st.Gid), permOf(s.info), hasACL(s.file)}
}

// open opens the folder, and the file in it.
func (f *File) open() (place, *snapshot, error) {
	p, err := f.locate()
	if err != nil {
		return p, nil, err
	}
	now, err := p.look(p.name)
	if err != nil {
		p.Close()
	}
	return p, now, err
}

// SetPerm gives the file another mode and group, where they are what the caller saw;
// else ErrChanged (wrapped). The group comes first, so that nobody of the old one gets
// rights that are meant for the new one.
func (f *File) SetPerm(old, next Perm) error {
	p, now, err := f.open()
	if err != nil {
		return err
	}
	defer p.Close()
	defer now.close()
	if permissions(now) != old {
		return fmt.Errorf("%s: %w", f.path, ErrChanged)
	}
	if next.GID != old.GID {
		// Nobody of another group may read meanwhile what the old one might.
		err = errors.Join(now.file.Chmod(old.Mode&next.Mode&^0o070), now.file.Chown(-1, next.GID))
	}
	if err == nil {
		err = now.file.Chmod(next.Mode)
	}
	if err == nil {
		return now.file.Sync()
	}
	_ = now.file.Chmod(old.Mode) // the group did not change
	return err
}

// Create makes the file with a mode of the caller's own. theirs: where root makes it, it
// belongs to whoever owns the folder. It must not exist: else ErrChanged (wrapped).
func (f *File) Create(text []byte, mode fs.FileMode, theirs bool) error {
	p, err := f.locate()
	if err != nil {
		return err
	}
	defer p.Close()
	folder, err := p.Stat(".")
	if err != nil {
		return err
	}
	uid, gid := -1, -1
	if theirs && os.Geteuid() == 0 {
		uid, gid = int(folder.Uid), int(folder.Gid)
	}
	return p.create(text, mode, uid, gid)
}
