"""The pages of a report, a module each: from merged aggregates to tables and charts."""
