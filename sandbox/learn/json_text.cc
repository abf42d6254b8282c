#include "sandbox/learn/json_text.h"

#include <nlohmann/json.hpp>

namespace brood {

bool IsJsonText(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return false;
  return nlohmann::json::parse(QuotedJson(text), nullptr, false) == text;
}

std::string QuotedJson(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace brood
