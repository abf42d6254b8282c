#include "launcher/default_context.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bootstrap/current_process.h"

namespace brood {
namespace {

struct Chosen {
  std::optional<StartMethod> method;  // Nothing: forgotten.
  // A child that was forked from a process has a copy of its choice, which is not the child's.
  const ProcessIdentity* chooser = nullptr;
  const Chosen* before = nullptr;  // Never freed, since another thread may read it; kept, so that it is no leak.
};

std::atomic<const Chosen*> g_chosen = nullptr;

std::optional<StartMethod> MethodOf(const Chosen* chosen) {
  const ProcessIdentity& self = CurrentProcess();
  return chosen != nullptr && chosen->chooser == &self ? chosen->method : self.start_method;
}

}  // namespace

std::vector<StartMethod> AllStartMethods() {
  return {StartMethod::kForkServer, StartMethod::kSpawn, StartMethod::kFork};
}

absl::StatusOr<StartMethod> ParseStartMethod(std::string_view name) {
  std::string names;
  for (const StartMethod method : AllStartMethods()) {
    if (StartMethodName(method) == name) return method;
    absl::StrAppend(&names, names.empty() ? "" : ", ", StartMethodName(method));
  }
  return absl::InvalidArgumentError(absl::StrCat("start method \"", name, "\": there is none of that name, but ", names));
}

absl::Status SetStartMethod(StartMethod method, IfChosen if_chosen) {
  auto* const wanted = new Chosen{.method = method, .chooser = &CurrentProcess(), .before = g_chosen.load()};
  do {
    const std::optional<StartMethod> chosen = MethodOf(wanted->before);
    if (chosen.has_value() && if_chosen == IfChosen::kRefuse) {
      delete wanted;
      return absl::FailedPreconditionError(absl::StrCat("start method ", StartMethodName(method), ": ",
                                                        StartMethodName(*chosen), " is chosen already"));
    }
  } while (!g_chosen.compare_exchange_weak(wanted->before, wanted));
  return absl::OkStatus();
}

void ForgetStartMethod() {
  auto* const nothing = new Chosen{.method = std::nullopt, .chooser = &CurrentProcess(), .before = g_chosen.load()};
  while (!g_chosen.compare_exchange_weak(nothing->before, nothing)) {
  }
}

StartMethod GetStartMethod() {
  for (;;) {
    if (const std::optional<StartMethod> chosen = ChosenStartMethod(); chosen.has_value()) return *chosen;
    SetStartMethod(AllStartMethods().front()).IgnoreError();  // Another thread may have chosen by now.
  }
}

std::optional<StartMethod> ChosenStartMethod() { return MethodOf(g_chosen.load()); }

Context DefaultContext(ContextOptions options) { return Context(GetStartMethod(), std::move(options)); }

}  // namespace brood
