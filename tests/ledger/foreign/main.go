// Command judge reads a static log with the code of Go's own checksum database (note, tlog) and says
// what it found as JSON. Ours is only what that code leaves open: how C2SP names a tile, how a bundle
// holds its entries, and what a witness signs.
//
//	judge read FOLDER KEYS INDEX...   every signature, every entry; proofs for leaves and beginnings
//	judge flips FOLDER KEYS           flips bits of every byte; names those that change nothing
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"judge/note"
	"judge/tlog"
)

const width = 256

type files map[string][]byte

// Height makes files a tlog.TileReader.
func (f files) Height() int { return 8 }

// SaveTiles keeps nothing.
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles reads tiles under their C2SP names.
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, t := range tiles {
		data, ok := f[path(strconv.Itoa(t.L), t.N, int64(t.W))]
		if !ok {
			return nil, fmt.Errorf("no tile %v", t)
		}
		found = append(found, data)
	}
	return found, nil
}

func path(kind string, number, width int64) string {
	name := fmt.Sprintf("%03d", number%1000)
	for number /= 1000; number > 0; number /= 1000 {
		name = fmt.Sprintf("x%03d/%s", number%1000, name)
	}
	if width < 256 {
		name += ".p/" + strconv.FormatInt(width, 10)
	}
	return "tile/" + kind + "/" + name
}

// witness is a note.Verifier for cosignature/v1; package note knows only keys of kind 1.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.id }
func (w witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(w.key, append([]byte(head), text...), sig[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || typed[0] == 1 {
		return note.NewVerifier(vkey)
	}
	if typed[0] != 4 {
		return nil, errors.New("a key of another kind: " + vkey)
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), typed...))
	return witness{parts[0], binary.BigEndian.Uint32(id[:]), typed[1:]}, nil
}

type log struct {
	tlog.Tree
	tlog.HashReader
	signatures int
}

// open checks every signature of the checkpoint, every entry, and every tile on the way to the root.
func open(f files, keys []note.Verifier) (*log, error) {
	signed, err := note.Open(f["checkpoint"], note.VerifierList(keys...))
	if err != nil {
		return nil, err
	}
	if len(signed.Sigs) != len(keys) || len(signed.UnverifiedSigs) != 0 {
		return nil, fmt.Errorf("%d signatures of %d", len(signed.Sigs), len(keys))
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != keys[0].Name() {
		return nil, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, err
	}
	tree := tlog.Tree{N: size, Hash: root}
	found := &log{tree, tlog.TileHashReader(tree, f), len(signed.Sigs)}
	for start := int64(0); start < size; start += width {
		if err := found.checkBundle(f, start, min(width, size-start)); err != nil {
			return nil, err
		}
	}
	computed, err := tlog.TreeHash(size, found)
	if err == nil && computed != root {
		err = errors.New("another root")
	}
	return found, err
}

func (l *log) checkBundle(f files, start, count int64) error {
	data, ok := f[path("entries", start/width, count)]
	if !ok {
		return fmt.Errorf("no bundle of entries from %d on", start)
	}
	var indexes []int64
	for i := range count {
		indexes = append(indexes, tlog.StoredHashIndex(0, start+i))
	}
	hashes, err := l.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, hash := range hashes {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("entry %d is cut short", start+int64(i))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if tlog.RecordHash(data[2:end]) != hash {
			return fmt.Errorf("entry %d has another hash", start+int64(i))
		}
		data = data[end:]
	}
	if len(data) != 0 {
		return errors.New("bytes behind the entries")
	}
	return nil
}

type answer struct {
	Size        int64                  `json:"size"`
	Root        tlog.Hash              `json:"root"`
	Signatures  int                    `json:"signatures"`
	Inclusion   map[string][]tlog.Hash `json:"inclusion"`
	Consistency map[string][]tlog.Hash `json:"consistency"`
}

// prove makes and checks the inclusion proof of a leaf, and the proof that the log begins so.
func (l *log) prove(index int64, said *answer) error {
	name := strconv.FormatInt(index, 10)
	leaf, err := l.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return err
	}
	record, err := tlog.ProveRecord(l.N, index, l)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(record, l.N, l.Hash, index, leaf[0]); err != nil {
		return err
	}
	said.Inclusion[name] = record
	if index == 0 {
		return nil
	}
	begun, err := tlog.TreeHash(index, l)
	if err != nil {
		return err
	}
	tree, err := tlog.ProveTree(l.N, index, l)
	if err != nil {
		return err
	}
	said.Consistency[name] = tree
	return tlog.CheckTree(tree, l.N, l.Hash, index, begun)
}

func read(f files, keys []note.Verifier, indexes []string) error {
	found, err := open(f, keys)
	if err != nil {
		return err
	}
	said := answer{
		found.N, found.Hash, found.signatures, map[string][]tlog.Hash{}, map[string][]tlog.Hash{},
	}
	for _, text := range indexes {
		index, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		if err := found.prove(index, &said); err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}

type flip struct {
	Path   string `json:"path"`
	Offset int    `json:"offset"`
	Bit    int    `json:"bit"`
}

// flips changes every byte: all bits of the checkpoint, one bit of each byte elsewhere.
func flips(f files, keys []note.Verifier) error {
	if _, err := open(f, keys); err != nil {
		return err
	}
	tried, unseen := 0, []flip{}
	for path, data := range f {
		for offset := range data {
			for bit := range 8 {
				if path != "checkpoint" && bit != offset%8 {
					continue
				}
				tried++
				data[offset] ^= 1 << bit
				if _, err := open(f, keys); err == nil {
					unseen = append(unseen, flip{path, offset, bit})
				}
				data[offset] ^= 1 << bit
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"tried": tried, "unseen": unseen})
}

func load(folder string) (files, error) {
	found := files{}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		found[filepath.ToSlash(below)], err = os.ReadFile(name)
		return err
	})
	return found, err
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return errors.New("usage: judge read|flips FOLDER KEYS INDEX...")
	}
	f, err := load(arguments[1])
	if err != nil {
		return err
	}
	vkeys, err := os.ReadFile(arguments[2])
	if err != nil {
		return err
	}
	var keys []note.Verifier
	for _, vkey := range strings.Fields(string(vkeys)) {
		key, err := verifier(vkey)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	if arguments[0] == "flips" {
		return flips(f, keys)
	}
	return read(f, keys, arguments[3:])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
