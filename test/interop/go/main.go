// A workload written against go-spiffe: it prints one JSON object per answer, so that a test can compare.
//
//	interop-client x509 | bundles | jwt AUDIENCE [ID] | validate AUDIENCE TOKEN | jwtbundles
//	interop-client watch            one line per update, until it is killed
//	interop-client serve ADDRESS ALLOWED-ID     mutual TLS, answers each connection with the caller's ID
//	interop-client call ADDRESS ALLOWED-ID      mutual TLS, prints what the server said
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type identity struct {
	ID       string   `json:"id"`
	Hint     string   `json:"hint"`
	Serial   string   `json:"serial"`
	NotAfter int64    `json:"notAfter"`
	DNS      []string `json:"dns"`
	Chain    int      `json:"chain"`
}

func print(value any) {
	line, err := json.Marshal(value)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		print(map[string]string{"error": err.Error()})
		os.Exit(1)
	}
}

func describe(update *workloadapi.X509Context) map[string]any {
	identities := []identity{}
	for _, svid := range update.SVIDs {
		leaf := svid.Certificates[0]
		identities = append(identities, identity{svid.ID.String(), svid.Hint, leaf.SerialNumber.Text(16), leaf.NotAfter.Unix(), leaf.DNSNames, len(svid.Certificates)})
	}
	domains := map[string]int{}
	for _, bundle := range update.Bundles.Bundles() {
		domains[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
	}
	return map[string]any{"svids": identities, "bundles": domains}
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) { print(describe(update)) }
func (watcher) OnX509ContextWatchError(err error)                   { print(map[string]string{"watchError": err.Error()}) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	verb, args := os.Args[1], os.Args[2:]
	short, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	switch verb {
	case "x509":
		update, err := workloadapi.FetchX509Context(short)
		check(err)
		print(describe(update))
	case "bundles":
		set, err := workloadapi.FetchX509Bundles(short)
		check(err)
		domains := map[string]int{}
		for _, bundle := range set.Bundles() {
			domains[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
		}
		print(domains)
	case "jwt":
		fetchJWT(short, args)
	case "jwtbundles":
		set, err := workloadapi.FetchJWTBundles(short)
		check(err)
		print(keyIDs(set))
	case "validate":
		svid, err := workloadapi.ValidateJWTSVID(short, args[1], args[0])
		check(err)
		print(map[string]any{"id": svid.ID.String(), "audience": svid.Audience})
	case "watch":
		check(workloadapi.WatchX509Context(ctx, watcher{}))
	case "serve":
		serve(ctx, args[0], spiffeid.RequireFromString(args[1]))
	case "call":
		call(short, args[0], spiffeid.RequireFromString(args[1]))
	default:
		check(fmt.Errorf("unknown verb %q", verb))
	}
}

func keyIDs(set *jwtbundle.Set) map[string][]string {
	keys := map[string][]string{}
	for _, bundle := range set.Bundles() {
		ids := []string{}
		for id := range bundle.JWTAuthorities() {
			ids = append(ids, id)
		}
		sort.Strings(ids)
		keys[bundle.TrustDomain().Name()] = ids
	}
	return keys
}

// fetchJWT also verifies the token against the bundles of a JWTSource, as a relying party would.
func fetchJWT(ctx context.Context, args []string) {
	source, err := workloadapi.NewJWTSource(ctx)
	check(err)
	defer source.Close()
	params := jwtsvid.Params{Audience: args[0]}
	if len(args) > 1 {
		params.Subject = spiffeid.RequireFromString(args[1])
	}
	svid, err := source.FetchJWTSVID(ctx, params)
	check(err)
	verified, err := jwtsvid.ParseAndValidate(svid.Marshal(), source, []string{args[0]})
	check(err)
	print(map[string]any{"id": verified.ID.String(), "token": svid.Marshal(), "audience": verified.Audience, "expiry": verified.Expiry.Unix()})
}

func serve(ctx context.Context, address string, allowed spiffeid.ID) {
	source, err := workloadapi.NewX509Source(ctx)
	check(err)
	listener, err := spiffetls.ListenWithMode(ctx, "tcp", address, spiffetls.MTLSServerWithSource(tlsconfig.AuthorizeID(allowed), source))
	check(err)
	print(map[string]string{"listening": listener.Addr().String()})
	for {
		conn, err := listener.Accept()
		check(err)
		go func() {
			defer conn.Close()
			if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
				print(map[string]string{"refused": err.Error()})
				return
			}
			peer, err := spiffetls.PeerIDFromConn(conn)
			check(err)
			fmt.Fprintf(conn, "hello %s\n", peer)
		}()
	}
}

func call(ctx context.Context, address string, allowed spiffeid.ID) {
	source, err := workloadapi.NewX509Source(ctx)
	check(err)
	defer source.Close()
	conn, err := spiffetls.DialWithMode(ctx, "tcp", address, spiffetls.MTLSClientWithSource(tlsconfig.AuthorizeID(allowed), source))
	check(err)
	defer conn.Close()
	_, err = fmt.Fprintln(conn, "hello")
	check(err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	check(err)
	print(map[string]string{"answer": answer[:len(answer)-1]})
}
