// The file server's loop: requests in, reads queued on the device, replies when their bytes are
// there.
#include "servers/fsd/fsd.h"

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "servers/fsd/device.h"
#include "servers/fsd/export.h"
#include "servers/fsd/open_files.h"
#include "servers/fsd/protocol.h"

namespace fsd {
namespace {

constexpr uint8_t kDeviceDone = 1;  // pulse code of the device's timer
constexpr int kInterruptPriority =
    200;  // of that pulse: a finished transfer frees the device for the next
constexpr absl::Duration kRequestCost =
    absl::Microseconds(15);  // of CPU time: a path, a table, a transfer set up

// A read whose transfer is queued or under way. Invariant: either `lease` says where its bytes go,
// or they go into the reply.
struct PendingRead {
  ipc::Message message;
  std::shared_ptr<const File> file;
  uint64_t offset;
  uint64_t bytes;
  std::optional<ipc::Lease> lease;
};

class Server {
 public:
  Server(ipc::Process& self, Export exported, uint64_t bytes_per_second, ipc::Timer timer)
      : self_(self),
        export_(std::move(exported)),
        device_(bytes_per_second),
        timer_(std::move(timer)) {}

  // False when the server is to end.
  bool Handle(ipc::Received& received) {
    if (ipc::Message* message = received.message()) {
      self_.Charge(kRequestCost);
      Dispatch(*message);
    } else if (received.pulse()->code == ipc::Pulse::kDisconnect) {
      files_.RemoveAll(received.pulse()->value);
    }
    return FinishTransfers().ok();
  }

 private:
  void Dispatch(ipc::Message& message) {
    if (message.Is<ReadRequest>()) return StartRead(message);
    if (message.Is<ReadInlineRequest>()) return StartReadInline(message);
    if (message.Is<CloseRequest>()) return Close(message);
    Open(message);
  }

  void Open(ipc::Message& message) {
    auto request = message.As<OpenRequest>();
    if (!request.ok()) return;
    request->path[kMaxPathBytes] = '\0';
    auto file = export_.Open(request->path);
    if (!file.ok()) return Refuse(message, file.status());
    OpenReply reply;
    reply.size_bytes = file->size_bytes();
    auto number = files_.Add(message.info().sender.id(), *std::move(file));
    if (!number.ok()) return Refuse(message, number.status());
    reply.file = *number;
    message.Reply(reply).IgnoreError();  // a client that has left needs no answer
  }

  void Close(ipc::Message& message) {
    const auto request = message.As<CloseRequest>();
    if (!request.ok()) return;
    const absl::Status status = files_.Remove(message.info().sender.id(), request->file);
    if (!status.ok()) return Refuse(message, status);
    message.Reply(CloseReply{}).IgnoreError();
  }

  void StartRead(ipc::Message& message) {
    const auto request = message.As<ReadRequest>();
    if (!request.ok()) return;
    auto lease = message.Region(0);
    if (!lease.ok()) return Refuse(message, lease.status());
    if (!lease->writable()) {
      return Refuse(message, absl::InvalidArgumentError("the region to read into is not writable"));
    }
    const uint64_t bytes = lease->size();
    Queue(message, request->file, request->offset, bytes, *std::move(lease));
  }

  void StartReadInline(ipc::Message& message) {
    const auto request = message.As<ReadInlineRequest>();
    if (!request.ok()) return;
    if (request->bytes > kMaxInlineBytes) {
      return Refuse(message,
                    absl::InvalidArgumentError(absl::StrCat("a read into the reply is of ",
                                                            kMaxInlineBytes, " bytes at most")));
    }
    Queue(message, request->file, request->offset, request->bytes, std::nullopt);
  }

  void Queue(ipc::Message& message, uint32_t number, uint64_t offset, uint64_t bytes,
             std::optional<ipc::Lease> lease) {
    auto file = files_.Find(message.info().sender.id(), number);
    if (!file.ok()) return Refuse(message, file.status());
    const uint64_t ticket = message.id();
    device_.Submit(ticket, message.info().priority, bytes, now_ns());
    pending_.emplace(
        ticket, PendingRead{std::move(message), *std::move(file), offset, bytes, std::move(lease)});
  }

  // Answers the reads whose time has come and sets the timer for the next.
  absl::Status FinishTransfers() {
    while (const auto ticket = device_.TakeDone(now_ns())) {
      PendingRead read = std::move(pending_.extract(*ticket).mapped());
      Finish(read);
    }
    const auto next_ns = device_.next_done_ns();
    return next_ns ? timer_.Arm(absl::FromUnixNanos(*next_ns)) : absl::OkStatus();
  }

  void Finish(PendingRead& read) {
    if (!read.lease) reply_bytes_.resize(read.bytes);
    // Empty once the client has left (R9): then nothing is read, and the reply reaches nobody.
    const ipc::MutableBytes room =
        read.lease ? read.lease->write() : ipc::MutableBytes(reply_bytes_.data(), read.bytes);
    const auto count = read.file->ReadAt(read.offset, room);
    if (!count.ok()) return Refuse(read.message, count.status());
    const ReadReply reply{*count};
    if (read.lease) {
      read.message.Reply(reply).IgnoreError();
      return;
    }
    const ipc::MessageHeader header = ipc::HeaderOf<ReadReply>();
    const std::array<ipc::ConstBytes, 3> parts = {ipc::BytesOf(header), ipc::BytesOf(reply),
                                                  room.first(*count)};
    read.message.ReplyParts(parts).IgnoreError();
  }

  void Refuse(ipc::Message& message, const absl::Status& why) {
    message.ReplyError(why).IgnoreError();
  }

  int64_t now_ns() const { return absl::ToUnixNanos(self_.Now()); }

  ipc::Process& self_;
  const Export export_;
  Device device_;
  ipc::Timer timer_;
  OpenFiles files_;
  absl::flat_hash_map<uint64_t, PendingRead> pending_;  // by ticket, the message's id
  std::vector<std::byte> reply_bytes_;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "fsd: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int Main(ipc::Process& self) {
  const auto& arguments = self.arguments();
  uint64_t megabytes_per_second = 0;
  const std::string device = arguments.size() > 1 ? arguments[1] : "--device-mbps=0";
  absl::string_view speed = device;
  if (arguments.empty() || arguments.size() > 2 || !absl::ConsumePrefix(&speed, "--device-mbps=") ||
      !absl::SimpleAtoi(speed, &megabytes_per_second) || megabytes_per_second > 1'000'000) {
    std::fprintf(stderr, "usage: fsd FOLDER [--device-mbps=N]\n");
    return 2;
  }
  auto exported = Export::Make(arguments[0]);
  if (!exported.ok()) return Fail(exported.status());
  auto channel = self.Attach(kName, {.disconnect_pulse = true});
  if (!channel.ok()) return Fail(channel.status());
  auto timer = channel->MakeTimer(kDeviceDone, 0, kInterruptPriority);
  if (!timer.ok()) return Fail(timer.status());
  Server server(self, *std::move(exported), megabytes_per_second * 1'000'000, *std::move(timer));
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok() || !server.Handle(*received)) return 0;
  }
}

}  // namespace fsd
