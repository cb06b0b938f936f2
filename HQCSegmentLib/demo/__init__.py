"""Made-up patients of two hospitals, and the whole way run on them."""
