package cmd

import (
	"fmt"

	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
)

// commandSpecs are the stores and copies that blnkctl.yaml has commands for.
func (a *app) commandSpecs() (command.Specs, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	specs := command.Specs{}
	for name, c := range file.Commands {
		if len(c.Read) == 0 && len(c.Write) == 0 {
			continue // it restarts something
		}
		specs[name] = command.Spec{
			Read: c.Read, Write: c.Write, Exists: c.Exists, Dir: file.Dir, Env: a.env.Environ,
		}
	}
	return specs, nil
}

func (a *app) openCommandStore(ref store.Ref, opt store.Options) (store.Store, error) {
	if err := ref.NoOptions(); err != nil {
		return nil, err
	}
	specs, err := a.commandSpecs()
	if err != nil {
		return nil, err
	}
	return specs.Open(ref, opt)
}

func (a *app) openCopy(text string) (*command.Copy, error) {
	ref, err := store.ParseRef(text)
	if err == nil {
		err = ref.NoOptions()
	}
	if err != nil {
		return nil, fail(exitUsage, err, "")
	}
	specs, err := a.commandSpecs()
	if err != nil {
		return nil, err
	}
	c, err := specs.OpenCopy(ref)
	if err != nil {
		return nil, fail(exitUsage, err, "")
	}
	return c, nil
}

// runOf is the program that a command of blnkctl.yaml restarts with.
func (a *app) runOf(name string) ([]string, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	c, err := file.Command(name)
	if err != nil {
		return nil, fmt.Errorf("restart reference %q: %w", "command:"+name, err)
	}
	return c.Run, nil
}
