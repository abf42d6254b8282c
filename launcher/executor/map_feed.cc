#include "launcher/executor/map_feed.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/throw_site.h"
#include "launcher/result_error.h"

namespace brood::internal {
namespace {

// Chunks of this duration cost little to hand over, and end soon enough to share the rest among the workers.
constexpr int64_t kChunkNs = 4'000'000;
constexpr int64_t kMaxChunk = 16384;
constexpr size_t kMaxChunkBytes = size_t{1} << 20;  // Of arguments, and of results as far as the last ones tell.
// So many chunks for each worker are submitted and not consumed: what bounds the memory of a Map.
constexpr size_t kChunksAhead = 8;

}  // namespace

MapFeed::MapFeed(std::shared_ptr<Pool> pool, absl::StatusOr<const PoolTarget*> target, size_t chunk,
                 absl::Duration timeout, MapOrder order, std::unique_ptr<MapSource> source)
    : pool_(std::move(pool)),
      target_(std::move(target)),
      workers_(pool_ != nullptr ? pool_->workers() : 1),
      fixed_chunk_(std::min<size_t>(chunk, UINT32_MAX)),
      timeout_(timeout),
      order_(order),
      source_(std::move(source)) {}

MapFeed::~MapFeed() {
  for (const Chunk& chunk : ahead_) {
    if (chunk.task->pool != nullptr) pool_->Abandon(chunk.task);
  }
}

bool MapFeed::Await() {
  if (current_.has_value()) return true;
  if (creator_ != ForkGeneration() && completion_ != nullptr) {
    // A fork's copy: nobody works for it, and its lock may be held for ever.
    submitted_ = ahead_.empty() ? submitted_ : ahead_.front().first;
    ahead_.clear();
    completion_ = nullptr;
    at_end_ = true;
    AddError(absl::FailedPreconditionError("map: its results belong to the process that began it, not to a fork"));
  }
  Fill();
  if (ahead_.empty()) return false;
  TakeNext();
  return true;
}

void MapFeed::Advance() {
  ++index_;
  if (--left_in_piece_ > 0) return;
  ++piece_;
  if (piece_ < current_->task->results.size()) {
    EnterPiece();
  } else {
    current_.reset();
  }
}

void MapFeed::TakeNext() {
  auto next = ahead_.begin();
  if (completion_ != nullptr) {
    std::unique_lock<std::mutex> lock(completion_->mutex);
    completion_->changed.wait(lock, [&] {
      if (order_ == MapOrder::kInput) return next->task->state == TaskState::kDone;
      next = std::find_if(ahead_.begin(), ahead_.end(),
                          [](const Chunk& chunk) { return chunk.task->state == TaskState::kDone; });
      return next != ahead_.end();
    });
  }
  current_ = std::move(*next);
  ahead_.erase(next);
  const Task& task = *current_->task;
  if (task.took_ns > 0) {
    // A few elements say little about all others.
    int64_t fit = std::min(kMaxChunk, int64_t{task.count} * 4);
    fit = std::min(fit, kChunkNs * task.count / task.took_ns);
    size_t bytes = 1;
    for (const ResultPiece& piece : task.results) bytes += piece.bytes.size();
    fit = std::min(fit, static_cast<int64_t>(kMaxChunkBytes * task.count / bytes));
    grown_ = static_cast<size_t>(std::max<int64_t>(fit, 1));
  }
  index_ = current_->first;
  piece_ = 0;
  EnterPiece();
}

void MapFeed::EnterPiece() {
  const ResultPiece& piece = current_->task->results[piece_];
  left_in_piece_ = piece.count;
  bytes_ = piece.bytes;
}

size_t MapFeed::ChunkSize() const {
  if (fixed_chunk_ != 0) return fixed_chunk_;
  const std::optional<size_t> left = source_->Left();
  if (!left.has_value()) return grown_;
  // Towards the end each worker gets something.
  return std::clamp<size_t>(*left / (2 * workers_), 1, grown_);
}

void MapFeed::Fill() {
  const size_t most = kChunksAhead * workers_;
  while (!at_end_ && ahead_.size() < most) SubmitChunk();
}

absl::Status MapFeed::ReadElement(WireWriter& to) {
  const size_t begin = to.size();
  try {
    at_end_ = !source_->WriteNext(to);
  } catch (...) {
    at_end_ = true;
    // Without its stack: to name that, the process's own file would be opened, and kept open.
    return Annotate(ErrorOf(CurrentException(ThrowSite())), "map: reading the elements");
  }
  if (at_end_) return absl::OkStatus();
  return target_.ok() ? pool_->CheckArguments(**target_, to, begin) : target_.status();
}

void MapFeed::SubmitChunk() {
  WireWriter arguments;
  absl::Status error;
  const size_t most = ChunkSize();
  size_t count = 0;
  while (count < most && (arguments.size() < kMaxChunkBytes || fixed_chunk_ != 0)) {
    const size_t begin = arguments.size();
    error = ReadElement(arguments);
    if (!error.ok()) arguments.Truncate(begin);
    if (!error.ok() || at_end_) break;
    ++count;
  }
  if (count > 0) {
    auto task = std::make_shared<Task>();
    task->pool = pool_;
    task->target = *target_;
    task->arguments = arguments.Take();
    task->count = static_cast<uint32_t>(count);
    task->timeout = timeout_;
    task->completion = completion_;
    ahead_.push_back({task, submitted_});
    submitted_ += count;
    pool_->SubmitBeyondBound(std::move(task));
  }
  if (!error.ok()) AddError(error);
}

// An element that cannot be sent fails alone, in its place.
void MapFeed::AddError(const absl::Status& error) {
  auto task = std::make_shared<Task>();
  task->results.push_back({.count = 1, .bytes = "", .error = error});
  task->SetState(TaskState::kDone);
  ahead_.push_back({std::move(task), submitted_});
  ++submitted_;
}

}  // namespace brood::internal
