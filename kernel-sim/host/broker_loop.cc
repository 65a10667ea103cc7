// The broker's loop: one io_uring for connections, receiving, sending, deaths and signals.
//
// Each socket has at most one receive, one send, and one poll of its peer's pidfd in flight; it
// goes when none is. A completion names the socket by its number, never by an address, so one that
// comes late finds nothing and does nothing.
#include "kernel-sim/host/broker_loop.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_peer.h"
#include "kernel-sim/host/broker_raise_limits.h"
#include "kernel-sim/host/broker_socket.h"
#include "kernel-sim/host/futex.h"

namespace parley::host {
namespace {

constexpr unsigned kRingEntries = 1024;
constexpr size_t kMaxUnsentBytes = 4 << 20;  // of one peer; beyond, it is dropped
constexpr size_t kBehindBytes = kMaxUnsentBytes / 4;
constexpr int64_t kDrainSeconds = 1;            // for what was sent before a drop to be read
constexpr int64_t kAcceptPauseNs = 50'000'000;  // when descriptors have run out
constexpr int64_t kSendPauseNs = 5'000'000;     // when they have, among those on their way
constexpr int64_t kTickNs = 50'000'000;         // while processes rejoin
constexpr int kBrokerPriority = 97;             // of SCHED_FIFO: above what programs can have

enum class Operation : uint64_t {
  kAccept,
  kPause,
  kSignal,
  kReceive,
  kSend,
  kPoll,
  kCancel,
  kDrain,
  kSendLater,
  kTick,
  kClose
};
constexpr int kOperationBits = 4;

uint64_t Tag(Operation operation, PeerId peer = PeerId::kNone) {
  return Raw(peer) << kOperationBits | static_cast<uint64_t>(operation);
}

struct Completion {
  uint64_t tag;
  int result;
};

class Loop final : public BrokerOutlet {
 public:
  Loop(UniqueFd listener, const BrokerUse& use)
      : listener_(std::move(listener)),
        use_(use),
        broker_(*this, use.start_ns != 0 ? use.start_ns : MonotonicNs(),
                RaiseLimits(use.private_to_launcher),
                {.pid = use.owner_pid, .serves_all = !use.private_to_launcher},
                {.reign = use.reign, .key = use.key}) {}
  ~Loop() override {
    if (ring_is_up_) io_uring_queue_exit(&ring_);
  }

  int Run();

  void Send(PeerId peer, Packet packet) override;
  bool IsBehind(PeerId peer) const override;
  void Drop(PeerId peer) override;
  void Kill(PeerId peer, const UniqueFd& pidfd) override;
  uint64_t Random() override;
  int64_t Now() override { return MonotonicNs(); }
  void Warn(const std::string& line) override {
    std::fprintf(stderr, "parley: %s\n", line.c_str());
  }

 private:
  bool SetUp();
  io_uring_sqe* NextEntry();
  template <typename Prepare>
  void Start(uint64_t tag, Prepare prepare);
  void Harvest();
  void Complete(const Completion& completion);
  void CompleteOfSocket(Operation operation, PeerId peer, int result);

  void StartAccept();
  void OnAccept(int result);
  void Welcome(UniqueFd fd);
  void StartSignal();
  void OnSignal();
  void StartTick();
  void StartReceive(Socket& socket);
  void OnReceive(Socket& socket, int result);
  void CloseElsewhere(UniqueFd& fd);
  void StartSend(Socket& socket);
  void HasSent(Socket& socket);
  void SendByRing(Socket& socket);
  void OnSend(Socket& socket, int result);
  void Lose(Socket& socket);
  void Close(Socket& socket);
  void ForgetIfIdle(Socket& socket);
  bool IsOver() const;

  UniqueFd listener_, signals_;
  const BrokerUse use_;
  __kernel_timespec pause_ = {0, kAcceptPauseNs}, drain_ = {kDrainSeconds, 0};
  __kernel_timespec send_pause_ = {0, kSendPauseNs}, tick_ = {0, kTickNs};
  io_uring ring_ = {};
  int64_t ticks_ = 0;
  bool ring_is_up_ = false;
  bool stopped_ = false, had_launcher_ = false, somebody_came_ = false;
  PeerId last_peer_ = PeerId::kNone;
  absl::flat_hash_map<PeerId, std::unique_ptr<Socket>> sockets_;
  std::deque<Completion> completions_;
  std::deque<PeerId> overflowed_;  // to be dropped once the broker has returned
  Broker broker_;                  // goes first: what it drops on the way is still there
};

// -- The ring

bool Loop::SetUp() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  signals_ = UniqueFd(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  fcntl(listener_.get(), F_SETFL, O_NONBLOCK);  // whoever came may have left again
  // Where that is not permitted the broker runs as others do.
  const sched_param priority = {kBrokerPriority};
  sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
  const int error = io_uring_queue_init(kRingEntries, &ring_, 0);
  if (error < 0) {
    std::fprintf(stderr, "parley: the broker cannot use io_uring: %s\n", strerror(-error));
    return false;
  }
  ring_is_up_ = true;
  return true;
}

io_uring_sqe* Loop::NextEntry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {  // full: make room
    io_uring_submit(&ring_);
    Harvest();
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

template <typename Prepare>
void Loop::Start(uint64_t tag, Prepare prepare) {
  io_uring_sqe* entry = NextEntry();
  prepare(entry);
  io_uring_sqe_set_data64(entry, tag);
}

void Loop::Harvest() {
  io_uring_cqe* done = nullptr;
  while (io_uring_peek_cqe(&ring_, &done) == 0) {
    completions_.push_back({done->user_data, done->res});
    io_uring_cqe_seen(&ring_, done);
  }
}

int Loop::Run() {
  if (!SetUp()) return 1;
  StartAccept();
  StartSignal();
  if (broker_.restoring()) StartTick();
  while (!IsOver()) {
    const int result = io_uring_submit_and_wait(&ring_, completions_.empty() ? 1 : 0);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
      std::fprintf(stderr, "parley: the broker's io_uring has failed: %s\n", strerror(-result));
      return 1;
    }
    Harvest();
    while (!completions_.empty() && !IsOver()) {
      const Completion completion = completions_.front();
      completions_.pop_front();
      Complete(completion);
      while (!overflowed_.empty()) {
        auto found = sockets_.find(overflowed_.front());
        overflowed_.pop_front();
        if (found != sockets_.end()) Lose(*found->second);
      }
      had_launcher_ |= broker_.launchers() > 0;
    }
  }
  return 0;
}

// A private broker also ends when whoever it was made for has gone without becoming a launcher. To
// one after a restart others come first, some of whom have gone by then: its launcher's end ends
// it.
bool Loop::IsOver() const {
  if (stopped_ || broker_.owner_gone()) return true;
  if (!use_.private_to_launcher) return false;
  const bool nobody_came_to_stay = use_.reign == 0 && somebody_came_ && sockets_.empty();
  return broker_.launchers() == 0 && (had_launcher_ || nobody_came_to_stay);
}

void Loop::Complete(const Completion& completion) {
  const auto operation = static_cast<Operation>(completion.tag & ((1 << kOperationBits) - 1));
  switch (operation) {
    case Operation::kAccept:
      return OnAccept(completion.result);
    case Operation::kPause:
      return StartAccept();
    case Operation::kSignal:
      return OnSignal();
    case Operation::kTick:
      broker_.OnTick(++ticks_ * kTickNs);
      if (broker_.restoring()) StartTick();
      return;
    case Operation::kCancel:
    case Operation::kClose:
      return;
    default:
      return CompleteOfSocket(operation, PeerId{completion.tag >> kOperationBits},
                              completion.result);
  }
}

void Loop::CompleteOfSocket(Operation operation, PeerId peer, int result) {
  auto found = sockets_.find(peer);
  if (operation == Operation::kDrain) {  // no socket waits for it
    if (found != sockets_.end()) Close(*found->second);
    return;
  }
  PARLEY_CHECK(found != sockets_.end());
  Socket& socket = *found->second;
  if (operation == Operation::kReceive) {
    socket.receiving = false;
    if (socket.state == Socket::State::kOpen) OnReceive(socket, result);
  } else if (operation == Operation::kSendLater) {
    socket.sending = false;
    if (socket.state != Socket::State::kClosed) StartSend(socket);
  } else if (operation == Operation::kSend) {
    socket.sending = false;
    if (socket.state != Socket::State::kClosed) OnSend(socket, result);
  } else {
    socket.polling = false;
    if (socket.state != Socket::State::kClosed) Lose(socket);
  }
  ForgetIfIdle(socket);
}

// -- Accepting, signals

// A poll, and not an accept: those of several rings wait in turn, and Linux may tell of somebody
// who comes to the ring of a broker that was killed and is not quite gone. Nobody else would hear
// of it.
void Loop::StartAccept() {
  Start(Tag(Operation::kAccept),
        [&](io_uring_sqe* entry) { io_uring_prep_poll_add(entry, listener_.get(), POLLIN); });
}

void Loop::OnAccept(int result) {
  UniqueFd fd(result < 0 ? -1 : accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int error = fd.valid() ? 0 : result < 0 ? -result : errno;
  if (fd.valid()) Welcome(std::move(fd));
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
    return Start(Tag(Operation::kPause),
                 [&](io_uring_sqe* entry) { io_uring_prep_timeout(entry, &pause_, 0, 0); });
  }
  if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP) {
    std::fprintf(stderr, "parley: the broker cannot accept: %s\n", strerror(error));
    stopped_ = true;
    return;
  }
  StartAccept();
}

// One that has gone while it waited to be accepted is not heard: a launcher that had come to the
// last broker has come again since.
void Loop::Welcome(UniqueFd fd) {
  somebody_came_ = true;
  pollfd far = {fd.get(), POLLRDHUP, 0};
  if (poll(&far, 1, 0) != 0) return;
  std::optional<PeerIdentity> peer = IdentifyPeer(fd);
  if (!peer) return;
  UniqueFd of_broker(fcntl(peer->pidfd.get(), F_DUPFD_CLOEXEC, 0));
  if (!of_broker.valid()) return;
  last_peer_ = PeerId{Raw(last_peer_) + 1};
  auto& socket = sockets_[last_peer_];
  socket = std::make_unique<Socket>();
  socket->id = last_peer_;
  socket->fd = std::move(fd);
  socket->pidfd = std::move(peer->pidfd);
  broker_.OnPeer(socket->id, peer->credentials, std::move(of_broker));
  if (socket->state != Socket::State::kOpen) return ForgetIfIdle(*socket);
  Start(Tag(Operation::kPoll, socket->id),
        [&](io_uring_sqe* entry) { io_uring_prep_poll_add(entry, socket->pidfd.get(), POLLIN); });
  socket->polling = true;
  StartReceive(*socket);
}

// Not a read: Linux would give that a thread, at an ordinary priority, without whose end a broker
// that is killed has not ended.
void Loop::StartSignal() {
  Start(Tag(Operation::kSignal),
        [&](io_uring_sqe* entry) { io_uring_prep_poll_add(entry, signals_.get(), POLLIN); });
}

void Loop::OnSignal() {
  const bool is_ours = !use_.private_to_launcher && use_.owner_pid == 0;
  signalfd_siginfo signal;
  while (read(signals_.get(), &signal, sizeof(signal)) > 0) {
    if (signal.ssi_signo == SIGTERM || (signal.ssi_signo == SIGINT && is_ours)) stopped_ = true;
  }
  StartSignal();
}

void Loop::StartTick() {
  Start(Tag(Operation::kTick),
        [&](io_uring_sqe* entry) { io_uring_prep_timeout(entry, &tick_, 0, 0); });
}

// -- Sockets

void Loop::StartReceive(Socket& socket) {
  socket.incoming.PrepareReceive();
  // Only who rejoins sends descriptors. Without room for them Linux lets go of them by itself.
  if (!broker_.TakesDescriptors(socket.id)) {
    socket.incoming.header()->msg_control = nullptr;
    socket.incoming.header()->msg_controllen = 0;
  }
  Start(Tag(Operation::kReceive, socket.id), [&](io_uring_sqe* entry) {
    io_uring_prep_recvmsg(entry, socket.fd.get(), socket.incoming.header(), MSG_CMSG_CLOEXEC);
  });
  socket.receiving = true;
}

void Loop::OnReceive(Socket& socket, int result) {
  if (result == -EINTR || result == -EAGAIN) return StartReceive(socket);
  if (result <= 0) return Lose(socket);
  auto packet = socket.incoming.Take(static_cast<size_t>(result));
  for (UniqueFd& fd : packet.ok() ? packet->fds : socket.incoming.refused()) {
    if (!IsSharedMemory(fd) && !IsUnixSocket(fd)) CloseElsewhere(fd);
  }
  if (!packet.ok()) return Lose(socket);
  broker_.OnPacket(socket.id, *packet);
  if (socket.state == Socket::State::kOpen) StartReceive(socket);
}

// Whatever file a peer has come up with: to close it could block, and the ring waits for that.
void Loop::CloseElsewhere(UniqueFd& fd) {
  Start(Tag(Operation::kClose),
        [&](io_uring_sqe* entry) { io_uring_prep_close(entry, fd.Release()); });
}

void Loop::Send(PeerId peer, Packet packet) {
  auto found = sockets_.find(peer);
  if (found == sockets_.end()) return;
  Socket& socket = *found->second;
  if (socket.state != Socket::State::kOpen || socket.overflowed) return;
  socket.unsent_bytes += Weight(packet);
  if (socket.unsent_bytes > kMaxUnsentBytes) {
    socket.overflowed = true;
    overflowed_.push_back(peer);
    return;
  }
  socket.outbox.push_back(std::move(packet));
  if (!socket.sending) StartSend(socket);
}

bool Loop::IsBehind(PeerId peer) const {
  auto found = sockets_.find(peer);
  return found != sockets_.end() && found->second->unsent_bytes > kBehindBytes;
}

// What does not have to wait is sent at once: so the notice to one peer has left before the answer
// to another that rests on it, even if the broker is killed in between. The ring waits for the
// rest.
void Loop::StartSend(Socket& socket) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  for (; !socket.outbox.empty(); HasSent(socket)) {
    socket.outgoing.PrepareSend(socket.outbox.front());
    if (sendmsg(socket.fd.get(), socket.outgoing.header(), kFlags) < 0) return SendByRing(socket);
  }
  if (socket.state == Socket::State::kDraining) Close(socket);
}

void Loop::SendByRing(Socket& socket) {
  Start(Tag(Operation::kSend, socket.id), [&](io_uring_sqe* entry) {
    io_uring_prep_sendmsg(entry, socket.fd.get(), socket.outgoing.header(), MSG_NOSIGNAL);
  });
  socket.sending = true;
}

void Loop::OnSend(Socket& socket, int result) {
  if (result == -EINTR || result == -EAGAIN) return StartSend(socket);
  // Others have not read what was sent to them: not this peer's fault. It counts as being sent
  // until it is, so nothing overtakes it.
  if (result == -ETOOMANYREFS || result == -ENOBUFS || result == -ENOMEM) {
    Start(Tag(Operation::kSendLater, socket.id),
          [&](io_uring_sqe* entry) { io_uring_prep_timeout(entry, &send_pause_, 0, 0); });
    socket.sending = true;
    return;
  }
  if (result < 0) return Lose(socket);
  HasSent(socket);
  StartSend(socket);
}

void Loop::HasSent(Socket& socket) {
  socket.unsent_bytes -= Weight(socket.outbox.front());
  socket.outbox.pop_front();
}

void Loop::Drop(PeerId peer) {
  auto found = sockets_.find(peer);
  if (found == sockets_.end() || found->second->state != Socket::State::kOpen) return;
  found->second->state = Socket::State::kDraining;
  if (!found->second->sending) return Close(*found->second);
  // Whoever reads nothing is in no quota any more, and must not stay for that.
  Start(Tag(Operation::kDrain, peer),
        [&](io_uring_sqe* entry) { io_uring_prep_timeout(entry, &drain_, 0, 0); });
}

void Loop::Kill(PeerId, const UniqueFd& pidfd) {
  syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

uint64_t Loop::Random() {
  uint64_t number = 0;
  PARLEY_CHECK(getrandom(&number, sizeof(number), 0) == sizeof(number));
  return number;
}

// The peer has hung up, died, or said what nobody may.
void Loop::Lose(Socket& socket) {
  broker_.OnGone(socket.id);
  Close(socket);
}

// Whatever is in flight is called back; the socket goes with the last of it.
void Loop::Close(Socket& socket) {
  if (socket.state == Socket::State::kClosed) return;
  socket.state = Socket::State::kClosed;
  shutdown(socket.fd.get(), SHUT_RDWR);
  while (socket.outbox.size() > (socket.sending ? 1 : 0)) socket.outbox.pop_back();
  const auto cancel = [&](bool in_flight, Operation operation) {
    if (!in_flight) return;
    Start(Tag(Operation::kCancel), [&](io_uring_sqe* entry) {
      io_uring_prep_cancel64(entry, Tag(operation, socket.id), 0);
    });
  };
  cancel(socket.receiving, Operation::kReceive);
  cancel(socket.sending, Operation::kSend);
  cancel(socket.polling, Operation::kPoll);
}

void Loop::ForgetIfIdle(Socket& socket) {
  if (socket.state != Socket::State::kClosed) return;
  if (!socket.receiving && !socket.sending && !socket.polling) {
    sockets_.erase(sockets_.find(socket.id));
  }
}

}  // namespace

int RunBroker(UniqueFd listener, const BrokerUse& use) {
  return Loop(std::move(listener), use).Run();
}

}  // namespace parley::host
