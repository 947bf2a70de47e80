// Source text to tokens, for both dialects. Internal to policy/expr/.
//
// The lexer knows the operators of every dialect, and of govaluate: what does not belong to the dialect at hand is the
// parser's to diagnose, which can say what to write instead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/finding.h"
#include "policy/expr/program.h"

namespace bulkhead::expr {

enum class TokenKind : unsigned char { kEnd, kWord, kInt, kDouble, kString, kBytes, kOperator, kPointer };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  uint32_t offset = 0;
  uint32_t length = 0;
  std::string text;        // word, operator, the decoded string; pointer: "" or "index" or "acc" of #, #index, #acc
  uint64_t magnitude = 0;  // kInt: without a sign
  double number = 0;       // kDouble

  bool Is(TokenKind wanted, std::string_view wanted_text) const { return kind == wanted && text == wanted_text; }
  bool IsOperator(std::string_view wanted) const { return Is(TokenKind::kOperator, wanted); }
  bool IsWord(std::string_view wanted) const { return Is(TokenKind::kWord, wanted); }
};

// Ends in a kEnd token unless a finding was added: then what came before it is of no use.
std::vector<Token> Tokenize(std::string_view source, Dialect dialect, std::vector<Finding>& findings);

}  // namespace bulkhead::expr
