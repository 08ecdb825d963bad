package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/store"
)

// findServers asks the drivers where the server can be asked; else the port
// stands in a blnk.json.
func (s *session) findServers(ctx context.Context, stores []store.Store) ([]string, error) {
	var urls []string
	for _, d := range s.drivers {
		if l, ok := d.(restart.Locator); ok {
			found, err := l.Servers(ctx)
			if err != nil {
				return nil, fmt.Errorf("find the server with '%s': %w", d, err)
			}
			for _, url := range found {
				if !slices.Contains(urls, url) { // two drivers may know the same server
					urls = append(urls, url)
				}
			}
		}
	}
	if len(urls) > 0 {
		return urls, nil
	}
	return s.localServer(ctx, stores)
}

// localServer is the server that a blnk.json names by its port. What is wrong
// with a file is better said by its store, which says it of every file.
func (s *session) localServer(ctx context.Context, stores []store.Store) ([]string, error) {
	url, err := localServer(ctx, stores)
	if errors.Is(err, textfile.ErrTorn) && !s.options.dryRun {
		url, err = s.mendedServer(ctx, stores)
	}
	if err == nil {
		return []string{url}, nil
	}
	if errors.Is(err, errNoServer) {
		// A driver that knows no server may know why.
		if _, fault := s.checkDrivers(ctx); fault != nil {
			return nil, fault
		}
	}
	for _, st := range stores {
		if _, _, unread := st.Get(ctx); unread != nil {
			return nil, unread
		}
	}
	return nil, err
}

// mendedServer is localServer where a crash has left half a file: no journal
// knows the port, so the file is put right before the rotation would do so.
func (s *session) mendedServer(ctx context.Context, stores []store.Store) (string, error) {
	unlock, err := store.Set(stores).Lock(ctx, s.options.lockT)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := store.Set(stores).Repair(ctx); err != nil {
		return "", err
	}
	return localServer(ctx, stores)
}

func (s *session) openServers(urls []string) error {
	for i, url := range urls {
		server, err := s.options.reach.open(url)
		if err != nil {
			return err
		}
		if slices.Contains(urls[:i], server.String()) {
			return usage("name it once", "--server: %s is given twice", server)
		}
		urls[i] = server.String()
		s.servers = append(s.servers, server)
		s.rotation.Servers = append(s.rotation.Servers, proof.NewServer(server, !server.Loopback()))
	}
	return nil
}
