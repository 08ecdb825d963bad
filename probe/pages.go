package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Blnk pages with limit and offset: GET of /ledgers, /balances and /transactions, and
// of /accounts and /identities where a filter is in the query. Without one those, and
// all other lists, are whole each time, whatever is asked for. A limit above mostItems
// becomes 20 without a word. An empty page is [] or null (Blnk 0.15.2, api/*.go and
// database/*.go; seen on a server).
const (
	mostItems = 100
	mostPages = 10_000
)

// checkPaging takes where the paging begins from the query.
func (r *Request) checkPaging() error {
	if !r.Paginate {
		return nil
	}
	if r.Method != http.MethodGet || r.Body != nil {
		return hint.Add(errors.New("--paginate is for lists, which GET gives"), "where POST filters, limit and offset stand in the body")
	}
	query, _ := url.ParseQuery(r.query) // looked at
	var err error
	number := func(name string, otherwise, least, most int) int {
		n, wrong := strconv.Atoi(cmp.Or(query.Get(name), strconv.Itoa(otherwise)))
		if wrong != nil || n < least || n > most {
			err = fmt.Errorf("--paginate: %s in the query: want %d to %d", name, least, most)
		}
		return n
	}
	r.limit, r.offset = number("limit", mostItems, 1, mostItems), number("offset", 0, 0, 1<<40)
	return err
}

func (r *Request) page(n int) (query string) {
	values, _ := url.ParseQuery(r.query)
	values.Set("limit", strconv.Itoa(r.limit))
	values.Set("offset", strconv.Itoa(r.offset+n*r.limit))
	return values.Encode()
}

// pages writes the pages of a list as one list, and what is no list as it came.
func (e *exchange) pages(ctx context.Context) error {
	l := &list{exchange: e}
	for n := range mostPages {
		if err := e.once(ctx, e.page(n), l.read); err != nil || l.end {
			return err
		}
		e.refused = io.Discard // it stands in the middle of the list
	}
	return hint.Add(e.fail("%w", hint.As(ErrAnswer, "stopped after %d pages of the list", mostPages)),
		"go on with: blnkctl api --paginate %s", hint.Quote(e.path+"?"+e.page(mostPages)))
}

// A list is one that is written while its pages come. It holds the items of two.
type list struct {
	*exchange
	before  []json.RawMessage // the page before; nil: there was none
	page    []json.RawMessage
	n       int  // items of the page
	written bool // an item was
	end     bool // there are no more pages
}

// read reads a page. The first is written as it comes: it may be the whole of a long
// list. A further one is written where it is not the whole again.
func (l *list) read(response *http.Response) error {
	first := l.before == nil
	body := bufio.NewReader(response.Body)
	begin, _ := body.Peek(512) // an error comes again
	begin = bytes.TrimLeft(begin, " \t\r\n")
	switch {
	case bytes.HasPrefix(begin, []byte("[")), bytes.HasPrefix(begin, []byte("null")):
	case first:
		l.end = true
		_, err := io.Copy(l.out, body)
		return err
	default:
		return l.fail("%w", hint.As(ErrAnswer, "a further page of the list is none"))
	}
	l.page, l.n = []json.RawMessage{}, 0
	if first {
		_, _ = io.WriteString(l.out, "[")
	}
	if err := l.items(json.NewDecoder(body), first); err != nil {
		return err
	}
	again := !first && (l.n > l.limit || slices.EqualFunc(l.before, l.page, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }))
	for _, item := range l.page {
		if !first && !again {
			l.write(item)
		}
	}
	if l.end = again || l.n != l.limit; l.end {
		_, _ = io.WriteString(l.out, "]\n")
	}
	l.before = l.page
	return l.out.err
}

func (l *list) items(in *json.Decoder, write bool) error {
	begin, err := in.Token()
	if begin == nil { // null
		return err
	}
	for err == nil && in.More() {
		var item json.RawMessage
		if err = in.Decode(&item); err != nil {
			break
		}
		if l.n++; l.n <= l.limit {
			l.page = append(l.page, item)
		}
		if write {
			l.write(item)
		}
		if l.out.err != nil {
			return l.out.err
		}
	}
	if err == nil {
		_, err = in.Token() // a list that was cut off has no end
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return l.fail("%w", hint.As(ErrAnswer, "the list is no valid JSON"))
	}
	return err
}

func (l *list) write(item json.RawMessage) {
	if l.written {
		_, _ = io.WriteString(l.out, ",")
	}
	l.written = true
	_, _ = l.out.Write(item)
}
