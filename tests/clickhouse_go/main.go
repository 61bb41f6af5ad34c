// Asks ClickHouse over HTTP as Grafana's plugin does: its driver, its protocol, its compression.
// Queries come as JSON strings, one a line; of each the number of rows is printed, every value read.
package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr:        []string{"127.0.0.1:" + os.Args[1]},
		Auth:        clickhouse.Auth{Database: "default", Username: os.Args[2], Password: os.Args[3]},
		Protocol:    clickhouse.HTTP,
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionGZIP},
	})
	if err := db.Ping(); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var query string
		if err := json.Unmarshal(lines.Bytes(), &query); err != nil {
			log.Fatal(err)
		}
		count, err := ask(db, query)
		if err != nil {
			log.Fatalf("%v\n%s", err, query)
		}
		fmt.Println(count)
	}
}

func ask(db *sql.DB, query string) (int, error) {
	rows, err := db.Query(query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values, places := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		places[i] = &values[i]
	}
	count := 0
	for ; rows.Next(); count++ {
		if err := rows.Scan(places...); err != nil {
			return 0, err
		}
	}
	return count, rows.Err()
}
