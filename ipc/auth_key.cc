#include "ipc/auth_key.h"

#include <atomic>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/hmac.h"
#include "base/random.h"
#include "base/status.h"
#include "base/wipe.h"

namespace brood {
namespace {

// No lock, because a child may be forked while another thread holds it. A key that was replaced stays linked: a reader
// may be copying it, and keys are replaced a few times in the life of a process.
struct Node {
  AuthKey key;
  Node* replaced = nullptr;
};
std::atomic<Node*> g_current = nullptr;

}  // namespace

AuthKey::~AuthKey() { Wipe(bytes_.data(), bytes_.size()); }

absl::StatusOr<AuthKey> AuthKey::Generate() {
  AuthKey key;
  key.size_ = 32;
  BROOD_RETURN_IF_ERROR(FillRandom(key.bytes_.data(), key.size_));
  return key;
}

absl::StatusOr<AuthKey> AuthKey::FromBytes(std::string_view bytes) {
  if (bytes.size() < kMinBytes || bytes.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("an auth key has ", kMinBytes, " to ", kMaxBytes, " bytes, this one has ", bytes.size()));
  }
  AuthKey key;
  key.size_ = bytes.size();
  std::memcpy(key.bytes_.data(), bytes.data(), bytes.size());
  return key;
}

bool operator==(const AuthKey& a, const AuthKey& b) { return EqualInConstantTime(a.secret_bytes(), b.secret_bytes()); }

absl::StatusOr<AuthKey> CurrentAuthKey() {
  if (const Node* node = g_current.load(std::memory_order_acquire); node != nullptr) return node->key;
  BROOD_ASSIGN_OR_RETURN(const AuthKey key, AuthKey::Generate());
  auto made = std::make_unique<Node>(Node{.key = key});
  Node* current = nullptr;
  if (g_current.compare_exchange_strong(current, made.get(), std::memory_order_acq_rel)) return made.release()->key;
  return current->key;  // Another thread was first, and all must have the same.
}

void SetCurrentAuthKey(const AuthKey& key) {
  Node* node = new Node{.key = key, .replaced = g_current.load(std::memory_order_acquire)};
  while (!g_current.compare_exchange_weak(node->replaced, node, std::memory_order_acq_rel)) {
  }
}

}  // namespace brood
