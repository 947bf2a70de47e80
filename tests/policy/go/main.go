// Reads lines of two base64 words: a reply as a plugin sent it, and the document that Bulkhead's decoder made of it.
// Both are decoded as Argo's agent decodes a reply, with encoding/json into types of Argo's shape; every difference is
// printed, and makes the exit code 1. With -record, a line is one word; the output is JSON lines {reply, go}.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// anyString takes strings, numbers and booleans, and swallows what else there is, as Argo's AnyString does.
type anyString string

func (s *anyString) UnmarshalJSON(text []byte) error {
	var value interface{}
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	switch typed := value.(type) {
	case string:
		*s = anyString(typed)
	case bool:
		*s = anyString(strconv.FormatBool(typed))
	case float64:
		*s = anyString(strconv.FormatFloat(typed, 'f', -1, 64))
	}
	return nil
}

type duration struct{ time.Duration }

func (d *duration) UnmarshalJSON(text []byte) error {
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(value)
	d.Duration = parsed
	return err
}

func (d duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(d.String())
}

type selector struct {
	Name     string `json:"name,omitempty"`
	Key      string `json:"key"`
	Optional *bool  `json:"optional,omitempty"`
}

type valueFrom struct {
	Path            string      `json:"path,omitempty"`
	JSONPath        string      `json:"jsonPath,omitempty"`
	JQFilter        string      `json:"jqFilter,omitempty"`
	Event           string      `json:"event,omitempty"`
	Parameter       string      `json:"parameter,omitempty"`
	ConfigMapKeyRef *selector   `json:"configMapKeyRef,omitempty"`
	Supplied        interface{} `json:"supplied,omitempty"`
	Default         *anyString  `json:"default,omitempty"`
	Expression      string      `json:"expression,omitempty"`
}

type parameter struct {
	Name        string      `json:"name"`
	Default     *anyString  `json:"default,omitempty"`
	Value       *anyString  `json:"value,omitempty"`
	ValueFrom   *valueFrom  `json:"valueFrom,omitempty"`
	GlobalName  string      `json:"globalName,omitempty"`
	Enum        []anyString `json:"enum,omitempty"`
	Description *anyString  `json:"description,omitempty"`
}

type s3 struct {
	Endpoint        string    `json:"endpoint,omitempty"`
	Bucket          string    `json:"bucket,omitempty"`
	Key             string    `json:"key,omitempty"`
	Insecure        *bool     `json:"insecure,omitempty"`
	AccessKeySecret *selector `json:"accessKeySecret,omitempty"`
}

type artifact struct {
	Name       string `json:"name"`
	Path       string `json:"path,omitempty"`
	Mode       *int32 `json:"mode,omitempty"`
	From       string `json:"from,omitempty"`
	S3         *s3    `json:"s3,omitempty"`
	GlobalName string `json:"globalName,omitempty"`
	Optional   bool   `json:"optional,omitempty"`
	Deleted    bool   `json:"deleted,omitempty"`
}

type outputs struct {
	Parameters []parameter `json:"parameters,omitempty"`
	Artifacts  []artifact  `json:"artifacts,omitempty"`
	Result     *string     `json:"result,omitempty"`
	ExitCode   *string     `json:"exitCode,omitempty"`
}

type nodeResult struct {
	Phase    string   `json:"phase,omitempty"`
	Message  string   `json:"message,omitempty"`
	Outputs  *outputs `json:"outputs,omitempty"`
	Progress string   `json:"progress,omitempty"`
}

type reply struct {
	Node    *nodeResult `json:"node,omitempty"`
	Requeue *duration   `json:"requeue,omitempty"`
}

// seen is what Argo would go on with, as JSON, or the error's text.
func seen(text []byte) string {
	var decoded reply
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&decoded); err != nil {
		return "error: " + err.Error()
	}
	encoded, err := json.Marshal(decoded)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(encoded)
}

func main() {
	record := len(os.Args) > 1 && os.Args[1] == "-record"
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	count, different := 0, 0
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		texts := make([][]byte, len(words))
		for i, word := range words {
			text, err := base64.StdEncoding.DecodeString(word)
			if err != nil {
				fmt.Fprintln(os.Stderr, "error: not base64:", err)
				os.Exit(2)
			}
			texts[i] = text
		}
		count++
		if record {
			line, _ := json.Marshal(map[string]string{"reply": words[0], "go": seen(texts[0])})
			fmt.Println(string(line))
			continue
		}
		sent, decoded := seen(texts[0]), seen(texts[1])
		if sent != decoded || strings.HasPrefix(sent, "error: ") {
			different++
			fmt.Printf("reply    %q\n  Go sees  %s\n  decoded  %q\n  Go sees  %s\n", texts[0], sent, texts[1], decoded)
		}
	}
	if !record {
		fmt.Printf("%d replies that Bulkhead admits, %d of which Go sees otherwise\n", count, different)
	}
	if different > 0 {
		os.Exit(1)
	}
}
