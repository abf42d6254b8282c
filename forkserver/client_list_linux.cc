// The servers of this process: those that are shared, by what they are made of, and all.
#include <list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/per_process.h"
#include "forkserver/client.h"

namespace brood::internal {
namespace {

constexpr size_t kMaxServers = 16;

struct Servers {
  std::mutex mutex;  // Guards what follows; not held while a server starts.
  std::list<std::pair<std::string, std::shared_ptr<ForkServer>>> all;  // Those that are shared. The latest used first.
  std::vector<std::pair<std::string, std::weak_ptr<ForkServer>>> every;  // Without a key: not shared.
};

Servers& Mine() {
  static PerProcess<Servers> one;
  return one.Get();
}

// In which each text has its length, so that no two lists give the same.
std::string KeyOf(const ForkServerOptions& options, std::string_view fingerprint) {
  std::string key = absl::StrCat(options.executable.size(), ":", options.executable, "|",
                                 static_cast<int>(options.freeze), "|", options.preload.size());
  for (const std::string& text : options.preload) absl::StrAppend(&key, ",", text.size(), ":", text);
  for (const Template& added : options.templates) {
    absl::StrAppend(&key, "/", added.name.size(), ":", added.name, static_cast<int>(added.freeze), "|", added.preload.size());
    for (const std::string& text : added.preload) absl::StrAppend(&key, ",", text.size(), ":", text);
  }
  return absl::StrCat(key, "|", fingerprint);
}

void Register(Servers& mine, std::string key, const std::shared_ptr<ForkServer>& made) {
  std::erase_if(mine.every, [](const auto& one) { return one.second.expired(); });
  mine.every.emplace_back(std::move(key), made);
}

std::shared_ptr<ForkServer> Register(std::shared_ptr<ForkServer> made) {
  Servers& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  Register(mine, "", made);
  return made;
}

// One that somebody holds is the one for its key, also when others have been used since. Null: nobody does.
std::shared_ptr<ForkServer> Held(const Servers& mine, const std::string& key) {
  for (const auto& [its, server] : mine.every) {
    if (its != key) continue;
    if (std::shared_ptr<ForkServer> held = server.lock(); held != nullptr) return held;
  }
  return nullptr;
}

ForkServerOptions WithoutLastTemplate(ForkServerOptions options) {
  options.templates.pop_back();
  return options;
}

}  // namespace

std::shared_ptr<ForkServer> FindForkServer(const ForkServerOptions& options, std::string_view fingerprint) {
  std::shared_ptr<ForkServer> base;
  if (!options.templates.empty()) base = FindForkServer(WithoutLastTemplate(options), fingerprint);
  const std::string key = KeyOf(options, fingerprint);
  std::shared_ptr<ForkServer> retired;  // Ends without the lock.
  Servers& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  for (auto it = mine.all.begin(); it != mine.all.end(); ++it) {
    if (it->first != key) continue;
    mine.all.splice(mine.all.begin(), mine.all, it);
    return it->second;
  }
  std::shared_ptr<ForkServer> server = Held(mine, key);
  if (server == nullptr) {
    server = std::make_shared<ForkServer>(options, std::move(base));
    Register(mine, key, server);
  }
  mine.all.emplace_front(key, std::move(server));
  if (mine.all.size() > kMaxServers) {
    retired = std::move(mine.all.back().second);
    mine.all.pop_back();
  }
  return mine.all.front().second;
}

std::shared_ptr<ForkServer> MakeForkServer(const ForkServerOptions& options) {
  std::shared_ptr<ForkServer> base;
  if (!options.templates.empty()) base = MakeForkServer(WithoutLastTemplate(options));
  return Register(std::make_shared<ForkServer>(options, std::move(base)));
}

std::shared_ptr<ForkServer> MakeForkServer(std::shared_ptr<ForkServer> base, Template added) {
  ForkServerOptions options = base->options();
  options.templates.push_back(std::move(added));
  return Register(std::make_shared<ForkServer>(std::move(options), std::move(base)));
}

std::vector<std::shared_ptr<ForkServer>> AllForkServers() {
  std::vector<std::shared_ptr<ForkServer>> all;
  Servers& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  for (const auto& [key, one] : mine.every) {
    if (std::shared_ptr<ForkServer> living = one.lock(); living != nullptr) all.push_back(std::move(living));
  }
  return all;
}

}  // namespace brood::internal
