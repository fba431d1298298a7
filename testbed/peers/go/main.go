// The program peer is a component and a runtime in another gRPC stack, for tests: `peer serve` and `peer redis` are
// components in Go, `peer check` and `peer session` call one as Dapr's runtime does.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
)

const usage = `usage:
  peer serve   --socket FILE
  peer redis   --socket FILE
  peer check   --socket FILE [--instance NAME] [--metadata KEY=VALUE]... --blocks state,pubsub,binding,secret
  peer session --socket FILE [--instance NAME] [--metadata KEY=VALUE]...`

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	verb := os.Args[1]
	flags := flag.NewFlagSet(verb, flag.ExitOnError)
	target := target{metadata: properties{}}
	flags.StringVar(&target.socket, "socket", "", "the component's socket")
	flags.StringVar(&target.instance, "instance", "peer", "the instance, as metadata.name of a resource says")
	flags.Var(target.metadata, "metadata", "an entry of spec.metadata; may be repeated")
	blocks := flags.String("blocks", "", "the building blocks to check")
	// The flag set ends the process where it finds something wrong.
	_ = flags.Parse(os.Args[2:])
	if target.socket == "" || flags.NArg() > 0 {
		fail(usage)
	}
	var err error
	switch verb {
	case "serve":
		err = serve(target.socket)
	case "redis":
		err = serveRedis(target.socket)
	case "check":
		err = check(target, strings.Split(*blocks, ","))
	case "session":
		err = session(target, os.Stdin)
	default:
		fail(usage)
	}
	if err != nil {
		fail(err.Error())
	}
}

// properties are the entries of spec.metadata, given one by one.
type properties map[string]string

func (p properties) String() string { return fmt.Sprint(map[string]string(p)) }

func (p properties) Set(entry string) error {
	key, value, found := strings.Cut(entry, "=")
	if !found {
		return fmt.Errorf("%q: expected KEY=VALUE", entry)
	}
	p[key] = value
	return nil
}

// report writes one line of JSON for whoever started us.
func report(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		fail(err.Error())
	}
	// One write a line: several goroutines report.
	_, _ = os.Stdout.Write(append(text, '\n'))
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
