// What a task of an Executor costs, one at a time and in a Map, beside CPython's pools and a bare ping-pong.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "benchmarks/contests.h"
#include "benchmarks/cpython.h"
#include "benchmarks/ping_pong.h"
#include "bootstrap/target.h"
#include "launcher/executor.h"

namespace brood {
namespace {

constexpr int kBatch = 100;  // So short a thing is measured many times over.
constexpr int kChunk = 64;   // As cpython.py.

// What travels for one task of Echo, there and back.
constexpr size_t kTaskBytes = 96;
constexpr size_t kResultBytes = 56;
constexpr size_t kElementBytes = 12;

int64_t Echo(int64_t value) { return value; }
BROOD_TARGET(Echo);

// What it takes for each of `times`.
std::function<absl::StatusOr<double>()> Each(int times, std::function<absl::Status()> all) {
  return [times, all = std::move(all)]() -> absl::StatusOr<double> {
    const auto start = std::chrono::steady_clock::now();
    BROOD_RETURN_IF_ERROR(all());
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    return time.count() / times;
  };
}

absl::Status SubmitBatch(Executor& executor) {
  for (int64_t i = 0; i < kBatch; ++i) {
    BROOD_ASSIGN_OR_RETURN(const int64_t value, executor.Submit(Echo, i).Get());
    if (value != i) return absl::InternalError("the wrong value came back");
  }
  return absl::OkStatus();
}

absl::Status MapAll(Executor& executor, size_t chunk_size, int elements) {
  int64_t sum = 0;
  for (const auto& [index, value] :
       executor.Map({.chunk_size = chunk_size}, Echo, std::views::iota(int64_t{0}, int64_t{elements}))) {
    if (!value.ok()) return value.status();
    sum += *value;
  }
  const int64_t right = int64_t{elements} * (elements - 1) / 2;
  return sum == right ? absl::OkStatus() : absl::InternalError("the wrong values came back");
}

// With one worker, as all here: what is compared is what a task costs and not how many processors there are.
absl::StatusOr<std::shared_ptr<Executor>> MakeExecutor() {
  BROOD_ASSIGN_OR_RETURN(Executor executor, Executor::Create(Context(StartMethod::kForkServer), {.workers = 1}));
  return std::make_shared<Executor>(std::move(executor));
}

absl::StatusOr<std::shared_ptr<CPython>> MakePython() {
  BROOD_ASSIGN_OR_RETURN(CPython python, CPython::Start());
  return std::make_shared<CPython>(std::move(python));
}

template <typename With>
void AddOrSkip(Contest& contest, const std::string& name, const absl::StatusOr<std::shared_ptr<With>>& with,
               const std::function<std::function<absl::StatusOr<double>()>(std::shared_ptr<With>)>& add) {
  if (with.ok()) {
    contest.AddTimed(name, add(*with));
  } else {
    contest.Skip(name, std::string(with.status().message()));
  }
}

std::function<std::function<absl::StatusOr<double>()>(std::shared_ptr<CPython>)> Command(std::string command) {
  return [command = std::move(command)](std::shared_ptr<CPython> python) {
    return [command, python = std::move(python)] { return python->Do(command); };
  };
}

}  // namespace

Contest RunTasks(int rounds) {
  Contest contest("run a task", "ping-pong");
  const auto ping_pong = std::make_shared<PingPong>(kTaskBytes, kResultBytes);
  contest.AddTimed("ping-pong", Each(kBatch, [ping_pong] { return ping_pong->Do(kBatch); }));
  AddOrSkip<Executor>(contest, "Executor", MakeExecutor(), [](std::shared_ptr<Executor> executor) {
    return Each(kBatch, [executor = std::move(executor)] { return SubmitBatch(*executor); });
  });
  AddOrSkip<CPython>(contest, "ProcessPoolExecutor", MakePython(), Command(absl::StrCat("submit fork ", kBatch)));
  contest.Run(rounds);
  return contest;
}

Contest MapElements(int rounds, int elements) {
  Contest contest(absl::StrCat("map ", elements, " elements"), "ping-pong of 64");
  const int messages = elements / kChunk;
  const auto ping_pong = std::make_shared<PingPong>(kTaskBytes + (kChunk - 1) * kElementBytes,
                                                    kResultBytes + (kChunk - 1) * kElementBytes);
  contest.AddTimed("ping-pong of 64", Each(messages * kChunk, [=] { return ping_pong->Do(messages); }));
  const absl::StatusOr<std::shared_ptr<Executor>> executor = MakeExecutor();
  for (const int chunk : {kChunk, 0}) {
    AddOrSkip<Executor>(contest, chunk == 0 ? "Executor" : "Executor, chunk 64", executor, [=](auto with) {
      return Each(elements, [=] { return MapAll(*with, static_cast<size_t>(chunk), elements); });
    });
  }
  const absl::StatusOr<std::shared_ptr<CPython>> python = MakePython();
  AddOrSkip<CPython>(contest, "ProcessPoolExecutor", python, Command(absl::StrCat("map fork ", elements)));
  AddOrSkip<CPython>(contest, "multiprocessing.Pool", python, Command(absl::StrCat("pool_map fork ", elements)));
  contest.Run(rounds, 1);
  return contest;
}

}  // namespace brood
