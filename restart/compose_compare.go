package restart

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An image is what docker image inspect says of one.
type image struct {
	ID     string
	Config struct {
		Env             []string
		Cmd, Entrypoint []string
	}
}

// imageOf is the image that new containers of the service would be made of.
func (d *compose) imageOf(ctx context.Context, s *service) (image, string, error) {
	name := s.config.Image
	if name == "" { // it is built, and has a name that Compose gave it
		name = s.containers[0].Config.Image
	}
	text, err := d.read(ctx, "docker", "image", "inspect", "--", name)
	if err != nil {
		return image{}, name, fmt.Errorf("service %s: look at its image %s: %w", s.name, name, err)
	}
	var found []image
	if json.Unmarshal([]byte(text), &found) != nil || len(found) != 1 {
		return image{}, name, fmt.Errorf("service %s: look at its image %s: the answer of docker image inspect is not understood", s.name, name)
	}
	return found[0], name, nil
}

// sameImage refuses where new containers would run another image.
func (d *compose) sameImage(ctx context.Context, p *project, s *service) error {
	img, name, err := d.imageOf(ctx, s)
	if err != nil {
		return err
	}
	return p.refuse(s, otherImage(s, img, name))
}

func otherImage(s *service, img image, name string) (diffs []string) {
	for _, c := range s.containers {
		if c.Image != img.ID {
			return []string{fmt.Sprintf("image %s is %s now, and container %s runs %s", name, short(img.ID), c.name(), short(c.Image))}
		}
	}
	return nil
}

// short is how Docker shows an ID.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// refuse names the differences, and the command that brings them in.
func (p *project) refuse(s *service, diffs []string) error {
	if len(diffs) == 0 {
		return nil
	}
	return fault(ErrDiffers, p.byHand("up", "-d", "--no-deps", s.name), "service %s: %v: %s", s.name, ErrDiffers, strings.Join(diffs, "; "))
}

// sameButKey refuses where new containers of the service would differ from
// those that run in anything but the key.
func (d *compose) sameButKey(ctx context.Context, p *project, s *service) error {
	img, name, err := d.imageOf(ctx, s)
	if err != nil {
		return err
	}
	diffs := otherImage(s, img, name)
	for _, c := range s.containers {
		diffs = append(diffs, s.config.differences(c, img, len(diffs) > 0)...)
	}
	slices.Sort(diffs)
	if diffs = slices.Compact(diffs); len(diffs) > 0 {
		return p.refuse(s, diffs)
	}
	if s.incomparable(p.tool) || d.leftAlone(ctx, p, s) || d.reordered(ctx, p, s) {
		return nil
	}
	if len(s.halves) > 0 { // most of Compose 2, and 5, would go on with those
		return fault(ErrHalf, append([]string{"docker", "container", "rm"}, s.halfNames()...), "service %s %v, which a Compose that was killed has left: %s", s.name, ErrHalf, strings.Join(s.halfNames(), ", "))
	}
	return p.refuse(s, []string{"something else in its files or in the environment of Compose is not as it was"})
}

// differences names what differs between the container and one made of the
// configuration, as far as it is easily told, and not counting the key. It
// shows no value of a variable. newImage: what the image brings is another
// anyway.
func (c serviceConfig) differences(now *container, img image, newImage bool) (diffs []string) {
	want := variables(img.Config.Env)
	maps.Copy(want, c.vars())
	has := now.env()
	for _, name := range append(keyVariables(), "affinity:container") { // Compose 1 notes where volumes came from
		delete(want, name)
		delete(has, name)
	}
	for name, value := range want {
		if old, ok := has[name]; (!ok || old != value) && (!newImage || c.Environment[name] != nil) {
			diffs = append(diffs, "variable "+name)
		}
	}
	for name := range has {
		if _, ok := want[name]; !ok && !newImage {
			diffs = append(diffs, "variable "+name)
		}
	}
	if argv, ok := c.argv(img); ok && !newImage && !slices.Equal(argv, now.argv()) {
		diffs = append(diffs, "command")
	}
	if c.Image != "" && c.Image != now.Config.Image && !newImage {
		diffs = append(diffs, "image "+c.Image+", which is "+now.Config.Image+" now")
	}
	if !maps.Equal(c.bindings(), now.bindings()) {
		diffs = append(diffs, "ports")
	}
	for target, source := range c.binds() {
		if now.binds()[target] != source {
			diffs = append(diffs, "what is mounted at "+target)
		}
	}
	for target := range now.binds() {
		if _, ok := c.binds()[target]; !ok && !slices.Contains(c.handed(), target) {
			diffs = append(diffs, "what is mounted at "+target)
		}
	}
	return diffs
}

// argv is the command line of a new container; false where that is not known.
func (c serviceConfig) argv(img image) ([]string, bool) {
	entry, ok := c.Entrypoint.argv()
	command, ok2 := c.Command.argv()
	if !c.Entrypoint.given() {
		entry = img.Config.Entrypoint
		if !c.Command.given() {
			command = img.Config.Cmd
		}
	}
	return slices.Concat(entry, command), ok && ok2
}
