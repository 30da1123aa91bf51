"""Lists of addresses of images: text, TSV, CSV, JSON lines and Parquet, as their publishers ship them."""
