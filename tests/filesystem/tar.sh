# Archives made of, and unpacked into, the current folder, with owners, times, links and holes.
set -eu
mkdir tree
cp -r "$root/docs" "$root/servers" tree
chmod 640 tree/docs/host.md
chmod 1777 tree/docs
ln tree/docs/host.md tree/hard
ln -s docs/host.md tree/symbolic
touch -d '2001-02-03 04:05:06.123456789' tree/servers
truncate -s 5M tree/holes
echo end >>tree/holes
mkdir -p "tree/$(printf 'd%.0s' $(seq 100))/$(printf 'e%.0s' $(seq 100))/empty"
for format in gnu pax; do
  tar cSf $format.tar --format=$format tree
  tar df $format.tar
  mkdir $format
  tar xpf $format.tar -C $format
  tar df $format.tar -C $format
  [ "$(stat -c %i $format/tree/hard)" = "$(stat -c %i $format/tree/docs/host.md)" ]
  diff -r tree $format/tree
done
[ "$(stat -c %y pax/tree/servers | cut -c1-29)" = "2001-02-03 04:05:06.123456789" ]
[ "$(stat -c %a pax/tree/docs/host.md pax/tree/docs | tr '\n' ' ')" = "640 1777 " ]
tar czf - tree | tar xzf - -C gnu --overwrite
tar cf "$work/outside.tar" tree
tar df "$work/outside.tar"
rm -r gnu
tar xpf "$work/outside.tar" -C pax --overwrite
tar df "$work/outside.tar" -C pax
