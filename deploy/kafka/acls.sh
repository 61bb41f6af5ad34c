#!/bin/sh
# What a soak and its feed may do on an Apache Kafka that denies what no ACL allows: the soak reads the scans' topic and
# cannot write it; it writes its own taps alone. Give it to whoever may alter the cluster:
#   deploy/kafka/acls.sh kafka-1:9093 scans violet User:violet-shadow User:violet-feed --command-config admin.properties
# The last words go to kafka-acls.sh as they are. KAFKA_ACLS names it where it is not on the PATH.
#
# What was tried: tests/integration/test_secured.py makes these ACLs on an Apache Kafka with the StandardAuthorizer, then
# publishes, soaks with taps and verifies under them, and what they must deny. There a program of the tests' own took the
# words for kafka-acls.sh, which is not among the jars that they have.
set -eu
[ $# -ge 5 ] || { echo "acls.sh BOOTSTRAP TOPIC NAME SOAK FEED [words of kafka-acls.sh]; fix: give the first five" >&2; exit 3; }
bootstrap=$1 topic=$2 name=$3 soak=$4 feed=$5
shift 5

allow() { "${KAFKA_ACLS:-kafka-acls.sh}" --bootstrap-server "$bootstrap" "$@" --add; }

# soak, verify: the scans; the group shows lag to other tools and decides nothing
allow "$@" --allow-principal "$soak" --operation Read --operation Describe --topic "$topic"
allow "$@" --allow-principal "$soak" --operation Read --group "$name" --resource-pattern-type prefixed
# taps, and lanes as stages
allow "$@" --allow-principal "$soak" --operation Read --operation Write --operation Create --operation Describe \
    --topic "violet.$name." --resource-pattern-type prefixed
# publish, sequence; CREATE is left to an administrator
allow "$@" --allow-principal "$feed" --operation Read --operation Write --operation Describe --topic "$topic"
