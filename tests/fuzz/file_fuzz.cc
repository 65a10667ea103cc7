// The messages of files, from both sides: a client that sends a file server anything, and a server
// that answers the file calls of libipc with anything. Each input is one simulated world.
//
// The input is a byte that says which of the two is evil, then its messages. Checked: no crash,
// that a reply is one, what the calls return, and that an honest client is served afterwards.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ipc/file_server.h"
#include "ipc/world.h"
#include "servers/ramfs/ramfs.h"
#include "tests/fuzz/input.h"

namespace ipc {
namespace {

using parley::host::Input;

constexpr absl::Duration kPatience = absl::Milliseconds(1);  // of virtual time
constexpr int kMostMessages = 40;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "file: %s\n", what);
  std::abort();
}

template <typename T>
std::string StringOf(const T& object) {
  return std::string(TextOf(BytesOf(object)));
}

// -- The evil client

std::string PathFrom(Input& input) {
  static const char* const kPaths[] = {
      "/fs", "/fs/",        "/fs/a", "/fs/b", "/fs/d",  "/fs/d/a", "/fs/d/", "/fs/l",
      "/",   "/fs/../fs/a", "",      "fs/a",  "/fs/a/", "/other",  "/fs//",  "/fs/./d/../d/a"};
  const uint8_t choice = input.Byte();
  if (choice < std::size(kPaths)) return kPaths[choice];
  return choice % 2 == 0 ? input.Bytes(choice / 8) : "/fs/" + std::string(choice * 20, 'x');
}

std::string PayloadFrom(Input& input) {
  switch (input.Byte() % 4) {
    case 0:
      return PathFrom(input);
    case 1:
      return PathFrom(input) + '\0' + PathFrom(input) + '\0';
    case 2: {
      files::Change change;
      change.mask = input.Byte();
      change.mode = static_cast<uint32_t>(input.Word());
      change.modified_ns = static_cast<int64_t>(input.Word());
      return StringOf(change) + PathFrom(input);
    }
    default:
      return input.Bytes(input.Byte() % 64);
  }
}

files::Operation OperationFrom(Input& input) {
  files::Operation operation;
  operation.verb = files::Verb(input.Byte() % 24);
  const uint8_t kind = input.Byte();
  if (kind % 4 == 0) operation.region = kind / 4 % 4;
  operation.file = kind % 8 < 6 ? files::kNewest : input.Byte() % 8;
  operation.flags = static_cast<uint32_t>(kind % 3 == 0 ? input.Word() : input.Byte());
  operation.offset = input.Word();
  operation.length = input.Word();
  operation.value = kind % 2 == 0 ? input.Word() : S_IFREG | 0666;
  return operation;
}

std::string RequestFrom(Input& input) {
  if (input.Byte() % 8 == 0) return input.Bytes(input.Byte());
  files::Operations head;
  std::string operations, payloads;
  for (int left = 1 + input.Byte() % 10; left > 0; --left) {
    files::Operation operation = OperationFrom(input);
    const std::string payload = input.Byte() % 3 == 0 ? "" : PayloadFrom(input);
    operation.payload_bytes = static_cast<uint32_t>(payload.size());
    operations += StringOf(operation);
    payloads += payload;
    ++head.count;
  }
  const uint8_t lie = input.Byte();
  if (lie % 16 == 1) head.count = static_cast<uint32_t>(input.Word());
  if (lie % 16 == 2) payloads += "more";
  if (lie % 16 == 3 && !payloads.empty()) payloads.pop_back();
  const MessageHeader header = HeaderOf<files::Operations>();
  return StringOf(header) + StringOf(head) + operations + payloads;
}

template <typename T>
T Take(ConstBytes& bytes) {
  T value = {};
  Require(bytes.size() >= sizeof value, "a reply ends in the middle");
  std::copy_n(bytes.begin(), sizeof value, MutableBytesOf(value).begin());
  bytes.remove_prefix(sizeof value);
  return value;
}

void CheckReply(ConstBytes reply) {
  const auto header = Take<MessageHeader>(reply);
  Require(header.code == files::Results::kType.code, "a reply is no list of results");
  const auto head = Take<files::Results>(reply);
  Require(head.count <= files::kMaxOperations, "there are more results than operations");
  uint64_t payload_bytes = 0;
  for (uint32_t i = 0; i < head.count; ++i) {
    const auto result = Take<files::Result>(reply);
    Require(result.error >= 0 && result.error < 4096, "an error is no errno");
    Require(result.error == 0 || i + 1 == head.count, "it goes on behind an error");
    payload_bytes += result.payload_bytes;
  }
  Require(payload_bytes == reply.size(), "the payloads are not as long as the results say");
}

void CheckServes(Process& self) {
  Require(WriteFile(self, "/fs/honest", "honest").ok(), "an honest client cannot write");
  const auto text = ReadFile(self, "/fs/honest");
  Require(text.ok() && *text == "honest", "an honest client reads something else");
  Require(Unlink(self, "/fs/honest").ok(), "an honest client cannot unlink");
}

int EvilClient(Process& self, Input& input) {
  {
    const Connection to = self.Open("/fs", absl::Seconds(1)).value();
    const Region region = self.CreateRegion(8192).value();
    std::vector<std::byte> room(files::kMaxPayloadBytes + 65536);
    for (int i = 0; i < kMostMessages && !input.empty(); ++i) {
      const std::string request = RequestFrom(input);
      const CallOptions options = {
          .regions = {region.In(0, 4096), region.Out(4096, 100), region.InOut(0, 8192)},
          .deadline = kPatience};
      const auto count = to.Send(BytesOfText(request), absl::MakeSpan(room), options);
      if (count.ok() && *count <= room.size()) {
        CheckReply(ConstBytes(room).first(*count));
      }
    }
  }
  CheckServes(self);
  return 0;
}

// -- The evil server

std::string ReplyFrom(Input& input) {
  if (input.Byte() % 8 == 0) return input.Bytes(input.Byte());
  files::Results head;
  std::string results, payloads;
  for (int left = 1 + input.Byte() % 4; left > 0; --left) {
    files::Result result;
    const uint8_t kind = input.Byte();
    if (kind % 4 == 0) result.error = static_cast<int32_t>(input.Word());
    if (kind % 4 == 1 && kind % 3 == 0) result.error = input.Byte() % 134;
    result.file = kind;
    result.value = input.Word();
    files::Entry entry;
    entry.name_bytes = kind % 2 == 0 ? kind / 8 : static_cast<uint32_t>(input.Word());
    entry.next = input.Byte();
    std::string payload;
    if (kind % 3 == 0) payload = StringOf(entry) + input.Bytes(kind / 8);
    if (kind % 3 == 1) payload = input.Bytes(kind / 2);
    result.payload_bytes = static_cast<uint32_t>(payload.size());
    if (kind % 16 == 5) result.payload_bytes = static_cast<uint32_t>(input.Word());
    results += StringOf(result);
    payloads += payload;
    ++head.count;
  }
  if (input.Byte() % 16 == 1) head.count = static_cast<uint32_t>(input.Word());
  const MessageHeader header = HeaderOf<files::Results>();
  return StringOf(header) + StringOf(head) + results + payloads;
}

int EvilServer(Process& self, Input& input) {
  Channel channel = self.Attach("/evil").value();
  for (;;) {
    Received received = channel.Receive().value();
    if (Message* message = received.message()) {
      message->Reply(BytesOfText(ReplyFrom(input))).IgnoreError();
    }
  }
}

void UseOpen(const File& file, uint8_t deed) {
  std::vector<std::byte> room(100);
  const MutableBytes bytes = absl::MakeSpan(room);
  switch (deed % 10) {
    case 0:
      Require(file.Read(bytes, kPatience).value_or(0) <= room.size(), "more is read than fits");
      return;
    case 1:
      Require(file.WriteAt(7, bytes, kPatience).value_or(0) <= room.size(),
              "more is written than there was");
      return;
    case 2:
      file.Stat().IgnoreError();
      return;
    case 3:
      if (const auto names = file.List(); names.ok()) {
        for (const ListedName& listed : *names) {
          Require(!listed.name.empty() && listed.name.find('/') == std::string::npos &&
                      listed.name.find('\0') == std::string::npos && listed.name != "." &&
                      listed.name != "..",
                  "a name in a directory is none");
        }
      }
      return;
    case 4:
      file.Lock(F_WRLCK, 0, 0, kPatience).IgnoreError();
      file.FindLock(F_WRLCK).IgnoreError();
      return;
    case 5:
      file.Control(1, bytes, bytes, kPatience).IgnoreError();
      return;
    case 6:
      file.Map(0, 4096, false).IgnoreError();
      return;
    case 7:
      file.Poll(files::kReadable).IgnoreError();
      file.Wait(files::kReadable, kPatience).IgnoreError();
      return;
    case 8:
      file.Seek(1, SEEK_CUR).IgnoreError();
      return;
    default:
      file.Truncate(1).IgnoreError();
      file.Sync().IgnoreError();
  }
}

int HonestClient(Process& self, Input& input) {
  const auto server = FileServer::Connect(self, "/evil", {.deadline = absl::Seconds(1)});
  Require(server.ok(), "a name cannot be connected to");
  for (int i = 0; i < kMostMessages && !input.empty(); ++i) {
    const uint8_t deed = input.Byte();
    if (deed % 4 == 0) {
      server->ReadLink("/evil/l").IgnoreError();
      server->StatFs().IgnoreError();
      server->Stat("/evil/a").IgnoreError();
      server->Rename("/evil/a", "/evil/b").IgnoreError();
      continue;
    }
    if (deed % 4 == 1) {
      ReadFile(self, "/evil/a").IgnoreError();
      WriteFile(self, "/evil/a", "text").IgnoreError();
      continue;
    }
    const auto file = server->Open("/evil/a", O_RDWR);
    if (file.ok()) UseOpen(*file, deed / 4);
  }
  return 0;
}

void RunOne(Input input) {
  const bool client_is_evil = input.Byte() % 2 == 0;
  World world({{"ramfs", ramfs::Main},
               {"evil-client", [&](Process& self) { return EvilClient(self, input); }},
               {"evil-server", [&](Process& self) { return EvilServer(self, input); }},
               {"client", [&](Process& self) { return HonestClient(self, input); }}});
  if (client_is_evil) {
    world.Start("ramfs", {.process = {.arguments = {"/fs", "--mib=1"}}, .service = true});
    world.Start("evil-client");
  } else {
    world.Start("evil-server", {.service = true});
    world.Start("client");
  }
  Require(world.Run() == 0, "a process did not end as it should");
}

}  // namespace
}  // namespace ipc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipc::RunOne(parley::host::Input(data, size));
  return 0;
}
