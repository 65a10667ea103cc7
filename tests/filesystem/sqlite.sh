# A data base in the current folder, written by several processes at once. Arguments: the journal's
# mode, and how many transactions each makes.
set -eu
mode=$1 each=${2:-10}
ask() { sqlite3 -batch -bail -cmd '.timeout 60000' data.db "$@"; }
[ "$(ask "pragma journal_mode=$mode")" = "$mode" ]
ask 'create table t(who, number, text); create index i on t(text);'
writers=
for who in 1 2 3 4; do
  for number in $(seq "$each"); do
    echo "begin immediate; insert into t values($who, $number, hex(randomblob(200)));"
    echo "update t set text = text || 'x' where number = $number; commit;"
  done | sqlite3 -batch -bail -cmd ".timeout 60000" -cmd "pragma journal_mode=$mode" data.db \
    >/dev/null &
  writers="$writers $!"
done
for writer in $writers; do wait "$writer"; done
[ "$(ask 'select count(*) from t')" = $((4 * each)) ]
[ "$(ask 'begin; delete from t; rollback; select count(*) from t')" = $((4 * each)) ]
# A writer that is killed within a transaction leaves nothing of it.
(echo 'begin; delete from t;'; sleep 1) | sqlite3 -batch data.db >/dev/null &
sleep 0.3
kill -9 $!
wait || true
[ "$(ask 'select count(*) from t')" = $((4 * each)) ]
ask 'vacuum; reindex;'
[ "$(ask 'pragma integrity_check')" = ok ]
[ "$(ask '.dump' | sqlite3 -batch copy.db; sqlite3 copy.db 'select count(*) from t')" = \
  $((4 * each)) ]
