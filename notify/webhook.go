package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/secret"
)

const (
	// limit is what all the tries of a receiver may take together.
	limit = 10 * time.Second
	tries = 3
	// usualPause is between two tries, and twice as long before the third.
	usualPause = time.Second
	// mostChat is how many characters the strictest of the chats takes: Discord
	// ("SlackWebhook" in its OpenAPI document).
	mostChat = 2000
	// mostAddress is far more than any URL.
	mostAddress = 8 << 10
)

// A webhook posts to a URL, which nobody is ever shown: who has it can write there.
type webhook struct {
	url    *url.URL
	client *http.Client
	slack  bool // want {"text": …}
	pause  time.Duration
}

var errPlaintext = hint.Add(errors.New("plain http would show its address to the network"), "use https; or --allow-plaintext where the network is trusted")

// openWebhook reads the address. Its errors hold nothing of that.
func openWebhook(at config.Receiver, opt Options) (*webhook, secret.Key, error) {
	address, err := readAddress(at, opt)
	if err != nil {
		return nil, secret.Key{}, err
	}
	key := secret.New(address)
	u, err := url.Parse(address)
	switch {
	case secret.Holds(address):
		return nil, key, errors.New("a key of a Blnk server stands in the address")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(address, " \t\r\n"):
		return nil, key, errors.New("what it holds is not one URL, https://HOST/…")
	}
	u.Fragment, u.RawFragment = "", ""
	transport, err := https.New(u, https.Options{CACert: opt.path(at.CACert), Proxy: at.Proxy, AllowPlaintext: opt.AllowPlaintext, Timeout: limit})
	if errors.Is(err, https.ErrPlaintext) {
		return nil, key, errPlaintext
	}
	if err != nil {
		return nil, key, err // of the file of CAs, or the proxy
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &webhook{url: u, client: client, slack: at.Scheme == "slack", pause: usualPause}, key, nil
}

// readAddress reads the URL from a variable, or from a file that is private.
func readAddress(at config.Receiver, opt Options) (string, error) {
	if at.Source == "env" {
		address, there := "", false
		for _, v := range opt.Env {
			if name, value, _ := strings.Cut(v, "="); name == at.Place {
				address, there = strings.TrimSpace(value), true
			}
		}
		if !there || address == "" {
			return "", errors.New("the variable is not set, or empty")
		}
		return address, nil
	}
	place := opt.path(at.Place)
	path, err := ownfile.Resolve(place)
	if err != nil {
		return "", err
	}
	f, info, err := ownfile.Open(path, mostAddress)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", hint.Add(fmt.Errorf("others can read or write %s (mode %04o), and the address in it is a secret", place, mode), "%s", hint.Command("chmod", "600", place))
	}
	data, err := io.ReadAll(io.LimitReader(f, mostAddress))
	return strings.TrimSpace(string(data)), err
}

// path is where a path of blnkctl.yaml leads; "" stays.
func (o Options) path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.Dir, path)
}

// send posts the event. What answers with 429 or 5xx, or not at all, is asked again.
func (w *webhook) send(ctx context.Context, e Event) error {
	body, err := e.Document()
	if w.slack {
		body, err = json.Marshal(map[string]string{"text": e.chat()})
	}
	if err != nil {
		return err
	}
	defer w.client.CloseIdleConnections()
	for n := 1; ; n++ {
		wait, again, err := w.post(ctx, body)
		if err == nil {
			return nil
		}
		wait = max(wait, w.pause<<(n-1))
		deadline, bounded := ctx.Deadline()
		if n > 1 {
			err = fmt.Errorf("%w (tried %d times)", err, n)
		}
		if !again || n == tries || bounded && time.Until(deadline) <= wait {
			return err
		}
		if interrupt.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// post asks once. again says that another try may bring more, after wait.
func (w *webhook) post(ctx context.Context, body []byte) (wait time.Duration, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(body))
	if err != nil {
		return 0, false, errors.New("no request can be made of its address")
	}
	request.URL, request.Host = w.url, w.url.Host
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "blnkctl")
	response, err := w.client.Do(request)
	if err != nil {
		return 0, ctx.Err() == nil, reason(err)
	}
	// Some servers want to be read; what they say may be the address again.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return 0, false, nil
	case code >= 300 && code < 400:
		return 0, false, fmt.Errorf("it answered %d, and no redirect is followed", code)
	default:
		again = code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500
		return retryAfter(response.Header), again, fmt.Errorf("it answered %d", code)
	}
}

// reason says why there was no answer, without the name of the host.
func reason(err error) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("the name of its host is not found")
	}
	if err = https.Reason(err, limit); errors.Is(err, https.ErrPlaintext) {
		return errPlaintext
	}
	return err
}

// retryAfter reads when a server wants to be asked again (RFC 9110, 10.2.3).
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(min(n, 86400)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// chat is Text as chats take it. What would be too long for one has fewer of its
// warnings and findings: what happened, what to do and the audit log stay.
func (e Event) chat() string {
	all := slices.Concat(e.Warnings, e.Findings)
	for n := len(all); ; n = min(n, mostTexts) - 1 {
		if n < len(all) {
			e.Findings, e.Warnings = nil, append(slices.Clone(all[:n]), fmt.Sprintf("and %d more", len(all)-n))
		}
		if text := []rune(mrkdwn(e.Text())); n == 0 || len(text) <= mostChat {
			return string(text[:min(len(text), mostChat)])
		}
	}
}

// mrkdwn escapes what Slack reads as a mention or a link ("Escaping text" of its
// formatting guide).
func mrkdwn(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
