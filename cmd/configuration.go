package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
)

// configMark is the annotation of a flag that blnkctl.yaml has set.
const configMark = "blnkctl_config"

// A configuration is blnkctl.yaml, read once and only by commands that have a
// use for it.
type configuration struct {
	explicit string // --config
	read     bool
	file     config.File
	err      error
}

// configured names the flags of a command that blnkctl.yaml can give: where the
// key is (store), what restarts (restart), where the servers are (server), and
// the state folder (state-dir).
func (a *app) configured(cmd *cobra.Command, flags ...string) {
	if a.configures == nil {
		a.configures = map[*cobra.Command][]string{}
	}
	a.configures[cmd] = append(flags, "state-dir")
}

// configFile returns blnkctl.yaml; the zero File where there is none.
func (a *app) configFile() (config.File, error) {
	c := &a.config
	if c.read {
		return c.file, c.err
	}
	c.read = true
	c.file, c.err = a.readConfig()
	return c.file, c.err
}

func (a *app) readConfig() (config.File, error) {
	dir, err := a.env.Getwd()
	if err != nil {
		return config.File{}, fmt.Errorf("find the working directory: %w", err)
	}
	path, err := config.Find(a.config.explicit, dir)
	if err != nil || path == "" {
		return config.File{}, err
	}
	if path, err = a.abs(path); err != nil {
		return config.File{}, err
	}
	file, err := config.Load(path)
	switch {
	case errors.Is(err, config.ErrUnsafe):
		return file, fail(exitUsage, err, "make it yours and private: chown and `chmod 600 "+path+"`")
	case err != nil:
		return file, fail(exitUsage, err, "")
	}
	return file, nil
}

// applyConfig gives the flags that neither the command line nor a variable has
// set what blnkctl.yaml says.
func (a *app) applyConfig(cmd *cobra.Command) error {
	names := a.configures[cmd]
	if len(names) == 0 {
		return nil
	}
	file, err := a.configFile()
	if err != nil || file.Path == "" {
		return err
	}
	values := map[string][]string{"store": file.Stores, "restart": file.Restart, "server": file.Servers}
	if file.StateDir != "" {
		values["state-dir"] = []string{file.StateDir}
	}
	for _, name := range names {
		if given(cmd, name) {
			continue
		}
		for _, v := range values[name] {
			if err := cmd.Flags().Set(name, v); err != nil {
				return usage("", "%s: %s: %w", file.Path, name, err)
			}
			_ = cmd.Flags().SetAnnotation(name, configMark, nil)
			_ = cmd.Flags().SetAnnotation(name, variableMark, nil)
		}
	}
	return nil
}

// fromConfig says whether the value of a flag stands in blnkctl.yaml.
func (a *app) fromConfig(cmd *cobra.Command, flag string) bool {
	f := cmd.Flags().Lookup(flag)
	return f != nil && marked(f, configMark)
}

// dirOf is where relative paths in the value of a flag start: the folder of
// blnkctl.yaml where the value stands there, else the working directory.
func (a *app) dirOf(cmd *cobra.Command, flag string) (string, error) {
	if a.fromConfig(cmd, flag) {
		file, err := a.configFile()
		return file.Dir, err
	}
	dir, err := a.env.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	return dir, nil
}
