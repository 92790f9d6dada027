// Command generate writes a session store with the Go release itself: the fixtures of this package's tests.
//
//	go run ./generate DIR
//
// DIR gets the store, DIR.json what the Go release says of it when it is opened anew.
package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aixgo-dev/aixgo/agent"
	"github.com/aixgo-dev/aixgo/pkg/session"
)

var ctx = context.Background()

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A store that was opened anew keeps nothing in memory of what was written before.
func open(dir string) session.Manager {
	return session.NewManager(must(session.NewFileBackend(dir)))
}

func say(sess session.Session, kind, text string) {
	check(sess.AppendMessage(ctx, agent.NewMessage(kind, map[string]string{"content": text})))
}

func main() {
	dir := os.Args[1]
	names := map[string]string{}
	create := func(name, agentName, user string) session.Session {
		sess := must(open(dir).Create(ctx, agentName, session.CreateOptions{UserID: user}))
		names[name] = sess.ID()
		return sess
	}

	basic := create("basic", "assistant", "ada")
	say(basic, "user", "Hello, AI! <b>1 & 2</b> \u2028 \"quoted\" \\ é 😀\ttab\b\f\x01\x7f")
	say(basic, "assistant", "Hello.")
	names["basic.checkpoint"] = must(basic.Checkpoint(ctx)).ID
	check(basic.AppendMessage(ctx, agent.NewMessage("user", map[string]string{"content": "Weather?", "place": "Bern"}).
		WithMetadata("priority", "high").WithMetadata("big", int64(9223372036854775807)).
		WithMetadata("float", 0.1).WithMetadata("nested", map[string]any{"list": []any{1, "two", nil, true}})))
	say(basic, "assistant", "Sunny.")
	check(basic.Close(ctx))

	restored := create("restored", "assistant", "bob")
	say(restored, "user", "one")
	say(restored, "assistant", "two")
	back := must(restored.Checkpoint(ctx))
	names["restored.checkpoint"] = back.ID
	say(restored, "user", "three, rolled back")
	say(restored, "assistant", "four, rolled back")
	check(restored.Restore(ctx, back.ID))
	say(restored, "user", "five")
	names["restored.second"] = must(restored.Checkpoint(ctx)).ID
	say(restored, "assistant", "six")
	check(restored.Close(ctx))

	left := create("restored-and-left", "assistant", "carol")
	say(left, "user", "kept")
	back = must(left.Checkpoint(ctx))
	say(left, "assistant", "rolled back")
	time.Sleep(5 * time.Millisecond)
	check(left.Restore(ctx, back.ID))
	check(left.Close(ctx))

	root := create("restored-to-nothing", "assistant", "dave")
	back = must(root.Checkpoint(ctx))
	names["restored-to-nothing.checkpoint"] = back.ID
	say(root, "user", "rolled back")
	check(root.Restore(ctx, back.ID))
	say(root, "user", "a new beginning")
	check(root.Close(ctx))

	flat := create("flattened", "assistant", "erin")
	say(flat, "user", "one")
	back = must(flat.Checkpoint(ctx))
	say(flat, "assistant", "two")
	check(flat.Restore(ctx, back.ID))
	say(flat, "assistant", "three")
	check(flat.Close(ctx))
	reopened := must(open(dir).Get(ctx, flat.ID()))
	say(reopened, "user", "four")
	names["flattened.checkpoint"] = must(reopened.Checkpoint(ctx)).ID
	check(reopened.Close(ctx))

	create("empty", "assistant", "frank")

	older := create("older", "assistant", "grace")
	say(older, "user", "first session")
	time.Sleep(5 * time.Millisecond)
	newer := create("newer", "assistant", "grace")
	say(newer, "user", "second session")
	create("nobody", "assistant", "")

	odd := create("odd", "Writer No 2", "heidi")
	check(odd.AppendMessage(ctx, &agent.Message{Type: "question", Payload: "plain text, no JSON"}))
	check(odd.AppendMessage(ctx, &agent.Message{ID: "my-own-id", Type: "react_response", Payload: `{"answer":42,"steps":["a","b"]}`, Timestamp: "yesterday"}))
	check(odd.AppendMessage(ctx, agent.NewMessage("user", "a JSON text")))
	check(odd.AppendMessage(ctx, nil))
	check(odd.AppendMessage(ctx, agent.NewMessage("analysis", []int{1, 2, 3})))
	check(odd.AppendMessage(ctx, &agent.Message{Type: "user", Payload: "broken \xff\xfe bytes"}))
	check(odd.AppendMessage(ctx, &agent.Message{Type: "ticket", Payload: ""}))

	long := create("too-long", "Writer No 2", "ivan")
	say(long, "user", strings.Repeat("long ", 14_000))
	say(long, "assistant", "That was long.")

	gone := create("deleted", "Writer No 2", "judy")
	say(gone, "user", "to be deleted")
	must(gone.Checkpoint(ctx))
	check(open(dir).Delete(ctx, gone.ID()))

	check(os.WriteFile(dir+".json", must(json.MarshalIndent(map[string]any{"names": names, "sessions": read(dir)}, "", "  ")), 0600))
}

type message struct {
	ID, Type, Payload, Timestamp string
	Metadata                     map[string]any
}

// read says what a new process of the Go release sees.
func read(dir string) map[string]any {
	sessions := map[string]any{}
	for _, folder := range must(os.ReadDir(dir)) {
		manager := open(dir)
		for _, meta := range must(manager.List(ctx, folder.Name(), session.ListOptions{})) {
			messages := []message{}
			sess, err := manager.Get(ctx, meta.ID)
			if err != nil {
				sessions[meta.ID] = map[string]any{"error": strings.ReplaceAll(err.Error(), filepath.Clean(dir), "")}
				continue
			}
			for _, one := range must(sess.GetMessages(ctx)) {
				messages = append(messages, message(*one))
			}
			sessions[meta.ID] = map[string]any{"meta": meta, "messages": messages}
		}
	}
	return sessions
}
