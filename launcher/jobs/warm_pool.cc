#include "launcher/jobs/warm_pool.h"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fork_generation.h"
#include "base/status.h"
#include "launcher/jobs/job_link.h"

namespace brood {
namespace {

constexpr absl::Duration kLookForEnds = absl::Milliseconds(5);
constexpr size_t kMostEnding = 16;  // While calls are under way.
constexpr absl::Duration kLongestEnd = absl::Seconds(10);
constexpr absl::Duration kAfterFailure = absl::Milliseconds(100);
constexpr char kChild[] = "brood.warm_child";

}  // namespace

class WarmPool::State {
 public:
  State(const Context& context, WarmPoolOptions options) : context_(context), options_(std::move(options)) {}

  ~State() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Begin() {
    for (size_t i = 0; i < options_.high_water; ++i) {
      BROOD_ASSIGN_OR_RETURN(internal::JobLink link, internal::JobLink::Start(context_, options_.launch, kChild));
      ready_.push_back(std::move(link));
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { Refill(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Call(const std::string& job) {
    if (is_forked()) return absl::FailedPreconditionError("warm pool: only the process that made it may use it");
    const Busy busy(*this);
    std::optional<internal::Deadline> deadline;  // Begins with the job, not with the start of a child for it.
    BROOD_ASSIGN_OR_RETURN(internal::JobLink link, Give(job, deadline));
    absl::StatusOr<internal::JobAnswer> answer = link.Receive(*deadline);
    if (absl::IsDeadlineExceeded(answer.status())) {
      (void)link.EndOf(internal::JobLink::Kill::kYes);
      return answer.status();
    }
    if (absl::IsUnavailable(answer.status())) return link.EndOf(internal::JobLink::Kill::kNo);
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_.push_back({std::move(link), internal::Deadline(std::min(options_.timeout, kLongestEnd))});
    BROOD_RETURN_IF_ERROR(answer.status());
    return std::move(answer->body);
  }

  bool is_forked() const { return creator_ != ForkGeneration(); }

  size_t ready() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ready_.size();
  }

  absl::Status AwaitFull(absl::Duration timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto full = [this] { return ready_.size() >= options_.high_water && ending_.empty() && !reaping_; };
    filling_ = true;
    changed_.notify_all();
    const auto bounded = absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24 * 365)));
    if (full_.wait_for(lock, bounded, full)) return absl::OkStatus();
    return absl::DeadlineExceededError(absl::StrCat("warm pool: ", ready_.size(), " of ", options_.high_water, " are ready, ",
                                                    last_failure_.ok() ? "" : last_failure_.message()));
  }

 private:
  // A child that has given its result.
  struct Ending {
    internal::JobLink link;
    internal::Deadline until;  // Then it is killed.
  };

  // While a call is under way the pool starts nobody: it would take the processor from that.
  class Busy {
   public:
    explicit Busy(State& state) : state_(state) {
      const std::lock_guard<std::mutex> lock(state_.mutex_);
      ++state_.calls_;
    }
    ~Busy() {
      bool wake;
      {
        const std::lock_guard<std::mutex> lock(state_.mutex_);
        --state_.calls_;
        wake = state_.MayReap() || state_.ShouldStart();
      }
      if (wake) state_.changed_.notify_all();
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    State& state_;
  };

  std::optional<internal::JobLink> TakeReady() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ready_.empty()) return std::nullopt;
    internal::JobLink link = std::move(ready_.front());
    ready_.pop_front();
    return link;
  }

  // To a child that is ready, or one that is started for it. One that has been killed while it waited is passed over.
  absl::StatusOr<internal::JobLink> Give(const std::string& job, std::optional<internal::Deadline>& deadline) {
    deadline.emplace(options_.timeout);
    while (std::optional<internal::JobLink> link = TakeReady()) {
      const absl::Status sent = link->Send(job, *deadline);
      if (sent.ok()) return *std::move(link);
      if (!absl::IsUnavailable(sent)) return sent;
    }
    BROOD_ASSIGN_OR_RETURN(internal::JobLink link, internal::JobLink::Start(context_, options_.launch, kChild));
    deadline.emplace(options_.timeout);
    const absl::Status sent = link.Send(job, *deadline);
    if (absl::IsUnavailable(sent)) return link.EndOf(internal::JobLink::Kill::kNo);
    BROOD_RETURN_IF_ERROR(sent);
    return link;
  }

  // Under the lock. From below the low water mark up to the high one, and not while a call is under way.
  bool ShouldStart() {
    if (ready_.size() < options_.low_water) filling_ = true;
    if (ready_.size() >= options_.high_water) filling_ = false;
    return filling_ && calls_ == 0;
  }

  // Under the lock. Calls may never pause, and each child that has ended holds descriptors until it is reaped.
  bool MayReap() const { return !ending_.empty() && (calls_ == 0 || ending_.size() > kMostEnding); }

  // The thread.
  void Refill() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stop_) {
      if (ShouldStart()) {
        lock.unlock();
        absl::StatusOr<internal::JobLink> link = internal::JobLink::Start(context_, options_.launch, kChild);
        lock.lock();
        last_failure_ = link.status();
        if (link.ok()) {
          ready_.push_back(*std::move(link));
        } else {
          changed_.wait_for(lock, absl::ToChronoNanoseconds(kAfterFailure), [this] { return stop_; });
        }
        continue;
      }
      if (MayReap()) Reap(lock);
      if (ready_.size() >= options_.high_water && ending_.empty()) full_.notify_all();
      if (!MayReap()) {
        changed_.wait(lock, [this] { return stop_ || ShouldStart() || MayReap(); });
      } else {
        changed_.wait_for(lock, absl::ToChronoNanoseconds(kLookForEnds), [this] { return stop_ || ShouldStart(); });
      }
    }
  }

  // Those that have given their result.
  void Reap(std::unique_lock<std::mutex>& lock) {
    std::vector<Ending> looked_at = std::move(ending_);
    ending_.clear();
    reaping_ = true;
    lock.unlock();
    std::erase_if(looked_at, [this](Ending& ending) {
      // Its caller has what it wanted, and nobody else would end what it goes on with.
      if (ending.until.passed()) (void)ending.link.process().Kill();
      const absl::StatusOr<Outcome> outcome = ending.link.process().Join(absl::ZeroDuration());
      if (absl::IsDeadlineExceeded(outcome.status())) return false;
      if (outcome.ok() && options_.on_end) options_.on_end(*outcome);
      return true;
    });
    lock.lock();
    reaping_ = false;
    for (Ending& ending : looked_at) ending_.push_back(std::move(ending));
  }

  const Context context_;
  const WarmPoolOptions options_;
  const uint64_t creator_ = ForkGeneration();
  mutable std::mutex mutex_;  // Guards all that follows.
  std::condition_variable changed_;
  std::condition_variable full_;
  std::deque<internal::JobLink> ready_;
  std::vector<Ending> ending_;
  size_t calls_ = 0;
  bool filling_ = false;
  bool reaping_ = false;
  bool stop_ = false;
  absl::Status last_failure_;
  std::thread thread_;
};

WarmPool::WarmPool(std::unique_ptr<State> state) : state_(std::move(state)) {}
WarmPool::WarmPool(WarmPool&&) noexcept = default;
WarmPool& WarmPool::operator=(WarmPool&& other) noexcept {
  if (this != &other) {
    Leave();
    state_ = std::move(other.state_);
  }
  return *this;
}
WarmPool::~WarmPool() { Leave(); }

void WarmPool::Leave() {
  // In a fork its thread is not there, which is on record as waiting for ever, and its children are the parent's.
  if (state_ != nullptr && state_->is_forked()) {
    (void)state_.release();
  } else {
    state_.reset();
  }
}

absl::StatusOr<WarmPool> WarmPool::Create(const Context& context, WarmPoolOptions options) {
  if (context.method() == StartMethod::kFork) return absl::InvalidArgumentError("warm pool: its thread forbids forks; use another start method");
  if (options.low_water < 1 || options.high_water < options.low_water) {
    return absl::InvalidArgumentError(absl::StrCat("warm pool: low_water ", options.low_water, " and high_water ", options.high_water,
                                                   ": the first must be at least 1, the second not less than the first"));
  }
  auto state = std::make_unique<State>(context, std::move(options));
  BROOD_RETURN_IF_ERROR(state->Begin());
  return WarmPool(std::move(state));
}

absl::StatusOr<std::string> WarmPool::CallBytes(internal::AnyFunction function, WireWriter& arguments) {
  if (!arguments.TakeHandles().empty()) return absl::UnimplementedError("warm pool: an argument carries a descriptor");
  // Without their size, which is the job's.
  BROOD_ASSIGN_OR_RETURN(const std::string job, internal::EncodeJob(function, std::string_view(arguments.bytes()).substr(sizeof(uint32_t))));
  return state_->Call(job);
}

size_t WarmPool::ready() const { return state_->ready(); }

absl::Status WarmPool::AwaitFull(absl::Duration timeout) { return state_->AwaitFull(timeout); }

}  // namespace brood
