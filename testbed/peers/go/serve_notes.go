package main

import (
	"context"
	"time"

	"google.golang.org/grpc/status"
)

// held is the key whose Get has no answer until the caller gives up.
const held = "held"

// noteInit says who opened what.
func noteInit(ctx context.Context, block string, properties map[string]string) {
	report(map[string]any{"init": block, "instance": instance(ctx), "metadata": properties})
}

// noteDeadline says how long the caller waits for the answer, 0 for as long as it takes.
func noteDeadline(ctx context.Context, method string) {
	left := time.Duration(0)
	if deadline, is := ctx.Deadline(); is {
		left = time.Until(deadline)
	}
	report(map[string]any{"deadline": method, "milliseconds": left.Milliseconds()})
}

// hold waits until the caller gives up, and says so.
func hold(ctx context.Context) error {
	report(map[string]any{"held": instance(ctx)})
	<-ctx.Done()
	report(map[string]any{"released": instance(ctx), "by": context.Cause(ctx).Error()})
	return status.FromContextError(ctx.Err()).Err()
}
