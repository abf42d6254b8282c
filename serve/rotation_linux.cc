#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "serve/rotation.h"

namespace brood::internal {
namespace {

absl::StatusOr<Rotation::Made> Make(const std::map<std::string, ContextOptions>& contexts) {
  Rotation::Made made;
  for (const auto& [path, context] : contexts) {  // Each after that which it is a template of.
    const size_t slash = path.rfind('/');
    std::shared_ptr<ForkServer>& server = made[path];
    server = path.empty() ? MakeForkServer({.executable = context.executable, .preload = context.preload, .freeze = context.freeze})
                          : MakeForkServer(made.at(slash == std::string::npos ? "" : path.substr(0, slash)), context.templates.back());
    const absl::Status started = server->Start({.start = context.preload_timeout, .request = context.server_timeout});
    if (!started.ok()) return path.empty() ? started : Annotate(started, absl::StrCat("template ", path));
  }
  return made;
}

}  // namespace

struct Rotation::Making {
  std::mutex mutex;
  UniqueFd event;
  std::optional<absl::StatusOr<Made>> made;
};

Rotation::Rotation(EventLoop& loop, ServeRotation when, std::function<void(absl::StatusOr<Made>)> ready)
    : loop_(loop), when_(when), ready_(std::move(ready)), made_(std::make_shared<Making>()) {}

Rotation::~Rotation() {
  if (made_->event.valid()) loop_.Forget(made_->event.get());
  if (timer_.has_value()) loop_.Cancel(*timer_);
}

absl::Status Rotation::Open(std::map<std::string, ContextOptions> contexts) {
  contexts_ = std::move(contexts);
  if (when_.children == 0 && when_.age == absl::InfiniteDuration()) return absl::OkStatus();
  made_->event.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made_->event.valid()) return ErrnoStatus(errno, "eventfd");
  return loop_.Watch(made_->event.get(), EPOLLIN, [this](uint32_t) { OnMade(); });
}

// What has borne nothing has told nobody its addresses.
void Rotation::NoteChild() {
  ++children_;
  if (making_) return;
  if (when_.children != 0 && children_ >= when_.children) return Begin();
  if (children_ != 1 || when_.age == absl::InfiniteDuration()) return;
  const auto age = absl::ToInt64Nanoseconds(std::min(when_.age, absl::Hours(24 * 365)));
  timer_ = loop_.Schedule(static_cast<int64_t>(child::MonotonicNanoseconds()) + age, [this] {
    timer_.reset();
    Begin();
  });
}

void Rotation::Begin() {
  making_ = true;
  if (timer_.has_value()) loop_.Cancel(*std::exchange(timer_, std::nullopt));
  try {
    std::thread([making = made_, contexts = contexts_] {
      absl::StatusOr<Made> made = Make(contexts);
      const std::lock_guard<std::mutex> lock(making->mutex);
      making->made = std::move(made);
      eventfd_write(making->event.get(), 1);
    }).detach();
  } catch (const std::system_error& error) {
    End(absl::ResourceExhaustedError(absl::StrCat("no thread for that: ", error.what())));
  }
}

void Rotation::OnMade() {
  eventfd_t count = 0;
  eventfd_read(made_->event.get(), &count);
  std::optional<absl::StatusOr<Made>> made;
  {
    const std::lock_guard<std::mutex> lock(made_->mutex);
    made.swap(made_->made);
  }
  if (made.has_value()) End(*std::move(made));
}

void Rotation::End(absl::StatusOr<Made> made) {
  making_ = false;
  children_ = 0;
  ready_(std::move(made));
}

}  // namespace brood::internal
