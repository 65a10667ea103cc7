# Everyday tools on files, in the current folder.
set -eu
seq 100000 >numbers
sort -R -T . -S 1M numbers | sort -n -T . -S 1M >sorted
cmp numbers sorted
split -n 7 numbers part.
cat part.* | cmp - numbers
cp -a --sparse=always numbers copy
cmp numbers copy
gzip -k numbers
gunzip -c numbers.gz | cmp - numbers
mkdir from
cp -a "$root/docs" from
cp -al from linked
[ "$(find linked -type f -links 2 | wc -l)" = "$(find from -type f | wc -l)" ]
if command -v cpio >/dev/null; then
  find from | cpio -o --quiet >archive.cpio
  (mkdir to && cd to && cpio -id --quiet <../archive.cpio && diff -r ../from from)
fi
sed -i 's/^1$/one/' numbers
[ "$(head -n 1 numbers)" = one ]
mv -T from moved
ln -sfn moved current
ln -sfn linked current
[ "$(readlink current)" = linked ]
install -m 750 numbers "$PWD/installed"
[ "$(stat -c %a installed)" = 750 ]
dd if=/dev/zero of=numbers bs=1000 seek=100 count=3 conv=notrunc,fsync 2>/dev/null
dd if=numbers of=direct bs=4096 oflag=direct iflag=fullblock 2>/dev/null
cmp numbers direct
shred -n 1 -u direct
flock lock -c 'echo once' >once
(exec 9>lock; flock 9; ! flock -n lock true)
mktemp -d ./tmp.XXXXXX
python3 - <<'END'
import mmap, os
# Pages that are mapped of a file that is appended to stay where they are.
with open('append', 'a+b', 0) as file:
    file.write(b'a' * 8192)
    with mmap.mmap(file.fileno(), 8192) as pages:
        pages[100:103] = b'xyz'
        pages.flush()
    file.write(b'end')
    assert os.fstat(file.fileno()).st_size == 8195
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(file.fileno(), 3, 100) == b'xyz' and os.pread(file.fileno(), 9, 8192) == b'end'
# Nor does what is written once the file is not to be appended to any more.
import fcntl
file = os.open('append', os.O_RDWR | os.O_APPEND)
fcntl.fcntl(file, fcntl.F_SETFL, 0)
assert os.pwrite(file, b'other', 5) == 5 and os.fstat(file).st_size == 8195
assert os.pread(file, 5, 5) == b'other'
# A process loses its locks by whichever descriptor of the file it closes.
first, second = os.open('locked', os.O_RDWR | os.O_CREAT), os.open('locked', os.O_RDWR)
fcntl.lockf(first, fcntl.LOCK_EX)
os.close(second)
if os.fork() == 0:
    fcntl.lockf(os.open('locked', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    os._exit(0)
assert os.wait()[1] == 0
# Who makes a file writes it, whatever its permissions are.
file = os.open('shut', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o400)
assert os.write(file, b'12345') == 5
os.ftruncate(file, 3)
assert os.pread(file, 9, 0) == b'123'
END
