// Command read says what the Go release sees in a store, as JSON on its output: sessions, messages, and what each checkpoint
// restores. It changes nothing but memory; with -append TEXT it also appends one message to every session.
//
//	go run ./read [-append TEXT] DIR
package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"

	"github.com/aixgo-dev/aixgo/agent"
	"github.com/aixgo-dev/aixgo/pkg/session"
)

type message struct {
	ID, Type, Payload, Timestamp string
	Metadata                     map[string]any
}

type found struct {
	Meta        *session.SessionMetadata `json:"meta"`
	Latest      bool                     `json:"latest"`
	Messages    []message                `json:"messages"`
	Checkpoints map[string][]message     `json:"checkpoints"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func messagesOf(ctx context.Context, sess session.Session) []message {
	messages := []message{}
	for _, one := range must(sess.GetMessages(ctx)) {
		messages = append(messages, message(*one))
	}
	return messages
}

func main() {
	text := flag.String("append", "", "a message for every session")
	flag.Parse()
	dir := flag.Arg(0)
	ctx := context.Background()
	out := map[string]*found{}
	for _, folder := range must(os.ReadDir(dir)) {
		backend := must(session.NewFileBackend(dir))
		manager := session.NewManager(backend)
		for _, meta := range must(manager.List(ctx, folder.Name(), session.ListOptions{})) {
			sess := must(manager.Get(ctx, meta.ID))
			one := &found{Meta: meta, Messages: messagesOf(ctx, sess), Checkpoints: map[string][]message{}}
			if meta.UserID != "" {
				one.Latest = must(manager.GetOrCreate(ctx, meta.AgentName, meta.UserID)).ID() == meta.ID
			}
			out[meta.ID] = one
		}
		files, _ := filepath.Glob(filepath.Join(dir, folder.Name(), "checkpoints", "*.json"))
		for _, file := range files {
			checkpoint := must(backend.LoadCheckpoint(ctx, strings.TrimSuffix(filepath.Base(file), ".json")))
			fresh := must(session.NewManager(backend).Get(ctx, checkpoint.SessionID))
			if err := fresh.Restore(ctx, checkpoint.ID); err != nil {
				panic(err)
			}
			out[checkpoint.SessionID].Checkpoints[checkpoint.ID] = messagesOf(ctx, fresh)
		}
		if *text != "" {
			for _, meta := range must(manager.List(ctx, folder.Name(), session.ListOptions{})) {
				if err := must(session.NewManager(backend).Get(ctx, meta.ID)).AppendMessage(ctx, agent.NewMessage("user", map[string]string{"content": *text})); err != nil {
					panic(err)
				}
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
