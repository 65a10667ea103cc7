// The threads that read Linux's requests and have them served.
#include "servers/fused/workers.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "servers/fused/fuse.h"

namespace fused {
namespace {

// Requests that are not refused, since they never wait for long, or leave something behind.
bool IsNeverRefused(uint32_t opcode) {
  switch (opcode) {
    case FUSE_INIT:
    case FUSE_DESTROY:
    case FUSE_INTERRUPT:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      return true;
    default:
      return false;
  }
}

void AddTo(const common::Descriptor& epoll, int descriptor, uint32_t how) {
  epoll_event event = {.events = EPOLLIN | how, .data = {.fd = descriptor}};
  epoll_ctl(epoll.number(), EPOLL_CTL_ADD, descriptor, &event);
}

}  // namespace

Workers::Workers(ipc::Process& self, fuse_session* session)
    : self_(self),
      session_(session),
      poke_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const int device = fuse_session_fd(session_);
  fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK);
}

Workers::~Workers() {
  eventfd_write(stop_.number(), 1);
  // Out of the table first: who is joined may need the lock to leave.
  std::list<Worker> leaving;
  {
    const std::scoped_lock locked(lock_);
    leaving.swap(workers_);
  }
  leaving.clear();
}

absl::Status Workers::Start() {
  const std::scoped_lock locked(lock_);
  return Spawn();
}

// With the lock held, which the new one waits for: it is in the table when it begins.
absl::Status Workers::Spawn() {
  std::erase_if(workers_, [](const Worker& worker) { return worker.over_; });
  auto room = self_.CreateRegion(kRequestBytes + kDataBytes);
  if (!room.ok()) return room.status();
  Worker& worker = workers_.emplace_back(*std::move(room));
  auto thread = self_.Spawn({.name = "fused"}, [this, &worker] { Run(worker); });
  if (!thread.ok()) {
    workers_.pop_back();
    return thread.status();
  }
  worker.thread_.emplace(*std::move(thread));
  ++all_;
  ++idle_;
  return absl::OkStatus();
}

Worker& Workers::Current() {
  const std::scoped_lock locked(lock_);
  return *by_thread_.at(std::this_thread::get_id());
}

void Workers::Run(Worker& worker) {
  {
    const std::scoped_lock locked(lock_);
    by_thread_[std::this_thread::get_id()] = &worker;
  }
  const common::Descriptor waits(epoll_create1(EPOLL_CLOEXEC));
  AddTo(waits, fuse_session_fd(session_), EPOLLEXCLUSIVE);
  AddTo(waits, stop_.number(), 0);
  const ipc::MutableBytes room = worker.room().write().first(kRequestBytes);
  while (WaitForRequest(waits)) {
    const ssize_t bytes = read(fuse_session_fd(session_), room.data(), room.size());
    // ENOENT: what was there has been taken back.
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT)) continue;
    if (bytes <= 0) {  // ENODEV: unmounted
      ended_ = true;
      Poke();
      break;
    }
    const bool last = BecomeBusy();
    Serve(worker, static_cast<uint64_t>(bytes), last);
    if (!Rest(worker, last)) return;
  }
  const std::scoped_lock locked(lock_);
  by_thread_.erase(std::this_thread::get_id());
}

// False: they are to end.
bool Workers::WaitForRequest(const common::Descriptor& waits) const {
  std::array<epoll_event, 2> events;
  for (;;) {
    const int count = epoll_wait(waits.number(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) return false;
    for (int i = 0; i < count; ++i) {
      if (events[static_cast<size_t>(i)].data.fd == stop_.number()) return false;
    }
    if (count > 0) return true;
  }
}

// Whether nobody is left that could read.
bool Workers::BecomeBusy() {
  std::unique_lock locked(lock_);
  --idle_;
  if (idle_ == 0 && all_ < kMost) Spawn().IgnoreError();  // done without: then this one is the last
  if (idle_ > 0) return false;
  if (!is_stuck_) {
    is_stuck_ = !rests_.wait_for(locked, absl::ToChronoMilliseconds(kPatience),
                                 [this] { return idle_ > 0; });
  }
  return is_stuck_;
}

// False: there are enough that wait.
bool Workers::Rest(Worker& worker, bool refused) {
  const std::scoped_lock locked(lock_);
  if (!refused) is_stuck_ = false;
  if (idle_ >= kMostIdle) {
    by_thread_.erase(std::this_thread::get_id());
    worker.over_ = true;
    --all_;
    return false;
  }
  ++idle_;
  rests_.notify_all();
  return true;
}

// Whether one more may block for ever.
bool Workers::Admit(int& blocked) {
  const std::scoped_lock locked(lock_);
  if (blocked == kMostForEver) return false;
  ++blocked;
  return true;
}

void Workers::Leave(int& blocked) {
  const std::scoped_lock locked(lock_);
  assert(blocked > 0);
  --blocked;
}

void Workers::Serve(Worker& worker, uint64_t bytes, bool last) {
  const ipc::MutableBytes room = worker.room().write();
  fuse_in_header header;
  if (bytes < sizeof(header)) return;
  std::memcpy(&header, room.data(), sizeof(header));
  if (last && !IsNeverRefused(header.opcode)) {
    const fuse_out_header refusal = {
        .len = sizeof(fuse_out_header), .error = -EAGAIN, .unique = header.unique};
    [[maybe_unused]] const ssize_t written =
        write(fuse_session_fd(session_), &refusal, sizeof(refusal));  // fails if it was taken back
    return;
  }
  fuse_buf request = {};
  request.size = bytes;
  request.mem = room.data();
  fuse_session_process_buf(session_, &request);
}

void Workers::Poke() const { eventfd_write(poke_.number(), 1); }

std::optional<absl::Time> Workers::CancelOverdue() {
  const std::scoped_lock locked(lock_);
  const absl::Time now = self_.Now();
  std::optional<absl::Time> next;
  for (Worker& worker : workers_) {
    const std::scoped_lock held(worker.lock_);
    if (!worker.overdue_) continue;
    if (*worker.overdue_ <= now) {
      worker.overdue_.reset();
      worker.cancelled_ = true;
      worker.thread_->Cancel().IgnoreError();
    } else if (!next || *worker.overdue_ < *next) {
      next = worker.overdue_;
    }
  }
  return next;
}

// -- Interrupts. The numbers are those of the header.

Interruptible::Interruptible(Workers& workers, fuse_req* request, For what)
    : workers_(workers),
      worker_(workers.Current()),
      request_(request),
      blocked_(what == For::kServer  ? nullptr
               : what == For::kInput ? &workers.for_input_
                                     : &workers.for_room_),
      is_admitted_(blocked_ == nullptr || workers.Admit(*blocked_)) {
  fuse_req_interrupt_func(request_, &OnInterrupt, this);  // (1)
}

// (2)
void Interruptible::OnInterrupt(fuse_req*, void* interruptible) {
  auto& self = *static_cast<Interruptible*>(interruptible);
  const std::scoped_lock held(self.worker_.lock_);
  if (self.blocked_ == nullptr) {
    self.worker_.overdue_ = self.workers_.self_.Now() + Workers::kPatience;
    return self.workers_.Poke();
  }
  self.worker_.cancelled_ = true;
  self.worker_.thread_->Cancel().IgnoreError();
}

// (3)
Interruptible::~Interruptible() {
  fuse_req_interrupt_func(request_, nullptr, nullptr);
  bool cancelled = false;
  {
    const std::scoped_lock held(worker_.lock_);
    worker_.overdue_.reset();
    cancelled = std::exchange(worker_.cancelled_, false);
  }
  if (cancelled) workers_.self_.Sleep(absl::Milliseconds(1)).IgnoreError();
  if (blocked_ != nullptr && is_admitted_) workers_.Leave(*blocked_);
}

}  // namespace fused
