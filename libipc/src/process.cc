// The process: regions, threads, children, time. Names are in names.cc.
#include "ipc/process.h"

#include <mutex>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "libipc/src/convert.h"

namespace ipc {

// The bodies of threads belong to the process: a thread that is killed before it has run never gets
// to own its own.
struct Process::Bodies {
  struct Body {
    Bodies* bodies;
    std::function<void()> run;
  };
  // Held across no kernel call. Of the standard library: the thread sanitizer knows it.
  std::mutex lock;
  absl::flat_hash_map<Body*, std::unique_ptr<Body>> all;  // guarded by it

  Body* Add(std::function<void()> run) {
    auto body = std::make_unique<Body>(Body{this, std::move(run)});
    Body* key = body.get();
    const std::scoped_lock locked(lock);
    all[key] = std::move(body);
    return key;
  }
  std::unique_ptr<Body> Take(Body* body) {
    const std::scoped_lock locked(lock);
    return std::move(all.extract(body).mapped());
  }

  static void Run(void* argument) {
    auto* body = static_cast<Body*>(argument);
    // Also when it unwinds: the body ends with its thread. It is out of the table by then: what it
    // owns may make kernel calls as it goes, and other threads spawn meanwhile.
    struct Ended {
      Body* body;
      ~Ended() { auto ended = body->bodies->Take(body); }
    } ended{body};
    body->run();
  }
};

Process::Process(parley::Kernel& kernel)
    : kernel_(&kernel),
      bodies_(std::make_unique<Bodies>()),
      names_(&kernel, parley::Raw(kernel.birth().name_service), "the name server", 0) {}

Process::~Process() { kernel_->EndOtherThreads(); }

const std::string& Process::name() const { return kernel_->birth().name; }
const std::vector<std::string>& Process::arguments() const { return kernel_->birth().arguments; }
ProcessRef Process::me() const { return ProcessRef(parley::Raw(kernel_->birth().process)); }
uint32_t Process::uid() const { return kernel_->birth().uid; }
uint32_t Process::gid() const { return kernel_->birth().gid; }
bool Process::has_virtual_time() const { return kernel_->birth().virtual_time; }

absl::StatusOr<Region> Process::CreateRegion(uint64_t bytes, const RegionOptions& options) {
  return Hold(kernel_->RegionCreate(bytes, {.others_may_write = options.others_may_write}));
}

absl::StatusOr<Region> Process::Redeem(const Token& token) {
  return Hold(kernel_->RegionRedeem(ToKernel(token)));
}

absl::StatusOr<Region> Process::Hold(const absl::StatusOr<parley::Mapping>& mapping) const {
  if (!mapping.ok()) return mapping.status();
  Region region(kernel_, parley::Raw(mapping->region));
  region.address_ = mapping->address;
  region.length_ = mapping->length;
  region.live_ = mapping->live;
  region.live_value_ = mapping->live_value;
  region.writable_ = parley::Includes(mapping->rights, parley::Rights::kWrite);
  return region;
}

absl::Status Process::Revoke(const Token& token) { return kernel_->TokenRevoke(ToKernel(token)); }

absl::StatusOr<Token> Process::DelegateConnect(const Token& token, ProcessRef holder) {
  auto delegated =
      kernel_->TokenDelegate(ToKernel(token), ToKernel(holder), parley::Rights::kConnect);
  if (!delegated.ok()) return delegated.status();
  return FromKernel(*delegated);
}

absl::Status Process::Deliver(const EventToken& event) {
  return kernel_->EventDeliver(ToKernel(event.token), std::nullopt);
}

absl::Status Process::Deliver(const EventToken& event, uint64_t value) {
  return kernel_->EventDeliver(ToKernel(event.token), value);
}

absl::StatusOr<Thread> Process::Spawn(const ThreadOptions& options, std::function<void()> body) {
  parley::ThreadOptions spawn;
  spawn.name = options.name;
  spawn.own_scheduling = options.scheduling.has_value();
  if (options.scheduling.has_value()) spawn.scheduling = ToKernel(*options.scheduling);
  Bodies::Body* key = bodies_->Add(std::move(body));
  auto thread = kernel_->ThreadSpawn(spawn, &Bodies::Run, key);
  if (!thread.ok()) {
    bodies_->Take(key);
    return thread.status();
  }
  return Thread(kernel_, parley::Raw(*thread));
}

absl::StatusOr<Child> Process::Start(absl::string_view program, const ChildOptions& options) {
  auto child = kernel_->ProcessSpawn({program.data(), program.size()}, ToKernel(options));
  if (!child.ok()) return child.status();
  return Child(kernel_, parley::Raw(*child));
}

absl::Status Process::SetScheduling(const Scheduling& scheduling) {
  return kernel_->ThreadSetScheduling(parley::ThreadHandle::kNone, ToKernel(scheduling));
}

int Process::priority() const {
  return kernel_->ThreadPriority(parley::ThreadHandle::kNone).value_or(0);
}

absl::StatusOr<Mutex> Process::CreateMutex() {
  auto mutex = kernel_->MutexCreate();
  if (!mutex.ok()) return mutex.status();
  return Mutex(kernel_, parley::Raw(*mutex));
}

absl::StatusOr<CondVar> Process::CreateCondVar() {
  auto condition = kernel_->CondVarCreate();
  if (!condition.ok()) return condition.status();
  return CondVar(kernel_, parley::Raw(*condition));
}

absl::Time Process::Now() const { return absl::FromUnixNanos(kernel_->Now()); }
absl::Time Process::WallTime() const { return absl::FromUnixNanos(kernel_->WallNow()); }
absl::Status Process::Sleep(Deadline until) {
  return kernel_->SleepUntil(Resolve(*kernel_, until));
}
void Process::Yield() { kernel_->Yield(); }
void Process::Compute(absl::Duration cpu_time) {
  kernel_->Compute(absl::ToInt64Nanoseconds(cpu_time));
}
void Process::Charge(absl::Duration cpu_time) {
  kernel_->Charge(absl::ToInt64Nanoseconds(cpu_time));
}
void Process::Count(absl::string_view counter, int64_t delta) {
  kernel_->Count({counter.data(), counter.size()}, delta);
}
void Process::Mark(absl::string_view remark) { kernel_->Mark({remark.data(), remark.size()}); }

Child::Child(Child&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  return *this;
}

Child::~Child() {
  if (handle_ != 0) kernel_->ProcessClose(parley::ChildHandle{handle_});
}

absl::StatusOr<ExitStatus> Child::Wait(Deadline deadline) const {
  auto exit = kernel_->ProcessWait(parley::ChildHandle{handle_}, Resolve(*kernel_, deadline));
  if (!exit.ok()) return exit.status();
  return ExitStatus{static_cast<ExitStatus::Kind>(exit->kind), exit->code, exit->reason};
}

absl::Status Child::Kill() const { return kernel_->ProcessKill(parley::ChildHandle{handle_}); }

ProcessRef Child::process() const {
  auto id = kernel_->ProcessIdOf(parley::ChildHandle{handle_});
  return id.ok() ? ProcessRef(parley::Raw(*id)) : ProcessRef();
}

}  // namespace ipc
