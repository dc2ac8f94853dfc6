// Judges objects by the rules of kstatus: one JSON object for each line of standard input, one answer for each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type answer struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

func judge(line []byte) (said answer) {
	defer func() {
		if found := recover(); found != nil {
			said = answer{Error: fmt.Sprint(found)}
		}
	}()
	object := map[string]interface{}{}
	if err := utiljson.Unmarshal(line, &object); err != nil {
		return answer{Error: err.Error()}
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return answer{Error: err.Error()}
	}
	said.Status = string(result.Status)
	if len(result.Conditions) > 0 {
		said.Reason = result.Conditions[0].Reason
	}
	return said
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		if err := answers.Encode(judge(lines.Bytes())); err != nil {
			panic(err)
		}
	}
}
